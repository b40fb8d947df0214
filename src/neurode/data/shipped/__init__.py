"""Real data that come with the package, small and with their provenance (see README.md here)."""

from importlib import resources

from neurode.data.events import Events, read_event_file
from neurode.data.rows import Rows, read_rows
from neurode.data.tables import Table, read_table

__all__ = ["coal_disasters", "lynx_hare", "mauna_loa_co2", "old_faithful"]


def coal_disasters() -> Events:
    """Return the dates of 191 explosions in British coal mines that killed ten men or more.

    Returns:
        `Events`: days since 1970, in a window from the first, on 15 March 1851, to the last, on 22
        March 1962. Two of them fell on one day.

    Source: Jarrett (1979), as in R's data set `boot::coal`.
    """
    file = resources.files(__name__) / "coal_disasters.csv"
    with resources.as_file(file) as path:
        return read_event_file(path)


def lynx_hare() -> Table:
    """Return the Hudson Bay lynx and snowshoe hare series, one row per year, 1900 to 1920.

    Returns:
        A `Table`: `times` [21] in years, `values` [21, 2] in thousands of pelts,
        `names` ("hare", "lynx"): prey first, as in the Lotka-Volterra equations.

    Source: Howard (2009), from Hewitt (1921).
    """
    file = resources.files(__name__) / "lynx_hare.csv"
    with resources.as_file(file) as path:
        return read_table(path, time="year", columns=["hare", "lynx"])


def old_faithful() -> Rows:
    """Return 272 eruptions of the Old Faithful geyser in Yellowstone National Park.

    Returns:
        `Rows`: `values` [272, 2] in minutes, `names` ("eruption", "waiting"): how long an eruption
        lasted, and how long it was until the next one.

    Source: Azzalini and Bowman (1990), as in R's data set `faithful`.
    """
    file = resources.files(__name__) / "old_faithful.csv"
    with resources.as_file(file) as path:
        return read_rows(path)


def mauna_loa_co2() -> Table:
    """Return the carbon dioxide in the air over Mauna Loa, weekly from 1958 to 2001, with gaps.

    Returns:
        A `Table`: `times` [2284], dates as days since 1970 (`calendar` makes dates of them),
        `values` [2284, 1] in parts per million by volume, NaN in 59 weeks, `names` ("co2",).

    Source: Keeling and Whorf (2004).
    """
    file = resources.files(__name__) / "mauna_loa_co2.csv"
    with resources.as_file(file) as path:
        return read_table(path, time="date", columns=["co2"], dates=True)
