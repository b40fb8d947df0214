"""Events along the series of `neurode fit series` and `neurode forecast`: flags become times."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli.errors import Mistake

if TYPE_CHECKING:
    import numpy as np

    from neurode.data import Table

TIMES = "times"

EventsFlag = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="times|COLUMN",
        help="What happens along a series: every row, or so many things as this column counts "
        "(0, 1, …).",
    ),
]
EventsFile = Annotated[
    Path | None,
    typer.Option(
        "--events-file",
        metavar="FILE",
        help="Or things at times of their own: a file with one row per event, its columns named "
        "as --id and --time.",
    ),
]


def add_count_column(
    columns: list[str] | None, events: str | None, time: str, id: str | None
) -> list[str] | None:
    """The columns to read, with the one that counts events.

    Args:
        columns: of the observed variables, or None for all.
        events: what --events says.
        time: the column of times.
        id: the column of ids, or None.

    Raises:
        Mistake: events are counted in a column of something else.
    """
    if events in (None, TIMES):
        return columns
    if events in (time, id):
        what = "times" if events == time else "ids"
        raise Mistake(
            f"--events {events} is the column of {what}: name one that counts events, or write "
            f"--events {TIMES} if every row is an event"
        )
    if columns is None or events in columns:
        return columns
    return [*columns, str(events)]


def read_series_events(
    table: "Table", events: str | None, file: Path | None, id: str | None, how: dict[str, Any]
) -> "dict[str, np.ndarray] | None":
    """The sorted times of the events of each series, by its label; None where none are modelled.

    Args:
        table: all rows of the series.
        events: what --events says, or None.
        file: what --events-file says, or None.
        id: the column of ids, or None.
        how: encoding, delimiter and decimal mark of files.

    Raises:
        DataError: the events cannot be read, or are none of these series'.
        Mistake: both flags were given.
    """
    import numpy as np

    from neurode.data import read_event_groups
    from neurode.estimators.latent_events import read_eventful

    if events is None and file is None:
        return None
    given = None
    if file is not None:
        if events is not None:
            raise Mistake("--events and --events-file say where the events are: give one of them")
        found = read_event_groups(file, table.time_name, id=id, **how)
        given = found if id is not None else found[""]
    read = read_eventful(table, None, given, events)
    assert read.counts is not None
    times = [
        np.repeat(read.rows(i)[0], read.counts[i, :length].astype(int))
        for i, length in enumerate(np.asarray(read.series.lengths))
    ]
    return dict(zip(table.split(), times, strict=True))


def give_events(events: "dict[str, np.ndarray] | None", table: "Table") -> Any:
    """The events of a file up to the last row of each series, as `LatentODE.fit` takes them.

    Args:
        events: of each series.
        table: the rows of these series, of which later ones may be held out.
    """
    if events is None:
        return None
    given = {}
    for label, part in table.split().items():
        times = events[label][events[label] <= part.times[-1]]
        given[label] = times if table.calendar is None else table.calendar.format(times)
    return given if table.ids is not None else given[""]
