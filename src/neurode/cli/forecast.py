"""`neurode forecast`: what comes after the observed series, with intervals, as CSV."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from neurode.cli import options, series_events
from neurode.cli.errors import Mistake, interruptible
from neurode.cli.predict import read_data_names

if TYPE_CHECKING:
    import numpy as np

    from neurode.data import Table
    from neurode.estimators import LatentODE

_MOST = 1_000_000
_EVENT_COLUMNS = ("event_rate", "event_rate_low", "event_rate_high", "expected_events")

EventsFile = Annotated[
    Path | None,
    typer.Option("--events-file", metavar="FILE", help="And their events, if those were given so."),
]
Ids = Annotated[str | None, typer.Option("--ids", metavar="A,B,…", help="Only these series.")]


def forecast(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that `neurode fit series` wrote.")
    ],
    horizon: Annotated[
        float | None,
        typer.Option(
            "--horizon",
            metavar="H",
            help="How far beyond each series' last time; in days, if the times are dates.",
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option("--every", metavar="DT", help="Between forecasts; else as the data have it."),
    ] = None,
    times: Annotated[
        str | None,
        typer.Option("--times", metavar="TIMES", help="Instead: 10,12.5 or 10:20:0.5, or dates."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Other series than those learned from."),
    ] = None,
    events_file: EventsFile = None,
    ids: Ids = None,
    level: Annotated[
        float, typer.Option("--level", metavar="P", help="Probability of the intervals.")
    ] = 0.95,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=1, help="Paths drawn for each series.")
    ] = 50,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="CSV file. Standard output if left out."),
    ] = None,
) -> None:
    """Forecast series with a fitted latent ODE: mean and interval of each variable, as CSV.

    Where events were learned, too: their rate (events per unit of time, per day where times are
    dates) with its band, and expected_events, counted from a series' last observed time on.

    \b
    Examples:
      neurode forecast run/ --horizon 30
      neurode forecast run/ --horizon 30 --every 0.5 --data new.csv
      neurode forecast run/ --times 2024-07-01,2024-08-01 --ids p7
    """
    from neurode.estimators import LatentODE, load

    if (horizon is None) == (times is None):
        raise Mistake("say how far with --horizon H, or when with --times; one of the two")
    with interruptible("nothing was written"):
        model = load(run)
        if not isinstance(model, LatentODE):
            raise Mistake(
                f"{run} holds a {type(model).__name__}, not a LatentODE: use `neurode predict`"
            )
        names = read_data_names(run)
        chosen = None if ids is None else [name.strip() for name in ids.split(",")]
        others = _read_others(model, names, data, events_file)
        asked = _ask(model, others, chosen, horizon, every, times)
        text = format_forecast(model, asked, names, level, samples)
    if out is None:
        sys.stdout.write(text)
        return
    from neurode.store import write_bytes

    write_bytes(out, text.encode())
    print(f"written: {out.resolve()}", file=sys.stderr)


class Asked(NamedTuple):
    """What is to be forecast.

    Attributes:
        times: numbers or dates, for all series or a list of them, one for each.
        table: other series than those learned from, or None.
        events: theirs, as `LatentODE.forecast` takes them, or None.
        ids: which of the series, or None for all.
        last: the last observed time of each of these, [n].
    """

    times: Any
    table: "Table | None"
    events: Any
    ids: list[str] | None
    last: "np.ndarray"


def _read_others(
    model: "LatentODE", names: dict[str, Any], data: Path | None, events_file: Path | None
) -> "tuple[Table | None, Any]":
    """The series of --data, and their events, if these come from a file."""
    from neurode.data import read_table

    by_file = model.has_events_ and model.events is None
    if events_file is not None and (data is None or not by_file):
        why = "--events-file is about the series of --data, which are not given"
        if data is not None:
            why = "the model was not fitted with --events-file, so that it takes none"
        raise Mistake(f"{why}: leave it out")
    if data is None:
        return None, None
    if by_file and events_file is None:
        raise Mistake(
            f"the model was fitted with --events-file: write --events-file with that of {data}, "
            "too, which may be empty but for its first line"
        )
    id, time = names.get("id"), names.get("time") or "time"
    columns = series_events.add_count_column(list(model.names_), model.events, time, id)
    table = read_table(data, time, columns, id=id, dates=True, least=1)
    happened = series_events.read_series_events(table, None, events_file, id, {})
    return table, series_events.give_events(happened, table)


def _ask(
    model: "LatentODE",
    others: "tuple[Table | None, Any]",
    chosen: list[str] | None,
    horizon: float | None,
    every: float | None,
    times: str | None,
) -> Asked:
    import numpy as np

    table, events = others
    labels, last = model.labels_, model.last_times_
    if table is not None:
        parts = table.split()
        labels = None if table.ids is None else tuple(parts)
        last = np.array([part.times[-1] for part in parts.values()])
    if chosen is not None:
        from neurode.estimators.predictive import check_ids

        last = last[check_ids(chosen, labels, len(last))]
    if times is not None:
        return Asked(_parse_times(times, model.calendar_), table, events, chosen, last)
    wanted: Any = _spread_times(last, horizon, model.gap_ if every is None else every)
    if model.calendar_ is not None:
        wanted = [model.calendar_.format(row) for row in wanted]
    if len(wanted) == 1 and labels is None:
        wanted = wanted[0]
    return Asked(wanted, table, events, chosen, last)


def _parse_times(text: str, calendar: Any) -> Any:
    if calendar is None:
        return options.parse_times(text)
    return [part.strip() for part in text.split(",")]


def _spread_times(last: "np.ndarray", horizon: float | None, every: float) -> "list[np.ndarray]":
    """Times after the last one of each series."""
    import numpy as np

    assert horizon is not None
    for flag, value in (("--horizon", horizon), ("--every", every)):
        if not value > 0 or value == float("inf"):
            raise Mistake(f"{flag} must be above 0, got {value:g}")
    count = int(horizon / every * (1 + 1e-12) + 1e-9)
    if count < 1:
        raise Mistake(f"--horizon {horizon:g} is less than --every {every:g}: nothing to forecast")
    if count > _MOST:
        raise Mistake(f"--horizon {horizon:g} has {count:,} times; let --every be larger")
    return [time + every * np.arange(1, count + 1) for time in last]


def format_forecast(
    model: "LatentODE", asked: Asked, names: dict[str, Any], level: float, samples: int
) -> str:
    """Return a forecast as CSV: id (of several series), time, and each variable's three columns.

    Where events were learned, their rate and its band follow, and how many of them are expected
    from the series' last observed time on: nothing before it.

    Args:
        model: the fitted estimator.
        asked: for what.
        names: how the data call their columns.
        level: of the intervals.
        samples: paths drawn for each series.
    """
    import numpy as np

    given = {"events": asked.events} if asked.events is not None else {}
    given |= {"ids": asked.ids, "samples": samples}
    found = model.forecast(asked.times, asked.table, level=level, **given)
    frame = found.to_frame(names.get("id") or "id", names.get("time") or "time")
    if model.has_events_:
        rates = model.intensity(asked.times, asked.table, level=level, **given)
        columns = [np.concatenate([np.ravel(row) for row in values]) for values in rates]
        rows = found.times if isinstance(found.times, list) else [found.times] * len(asked.last)
        columns.append(_expect(model, asked, rows, given))
        for name, column in zip(_EVENT_COLUMNS, columns, strict=True):
            frame.insert(len(frame.columns), name, column, allow_duplicates=True)
    return frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def _expect(
    model: "LatentODE", asked: Asked, rows: list[Any], given: dict[str, Any]
) -> "np.ndarray":
    """The expected number of events from each series' last time to each of its rows."""
    import numpy as np

    calendar = model.calendar_
    rows = rows if calendar is None else [calendar.parse(row) for row in rows]
    edges: Any = [
        np.r_[end, np.maximum(row, end)] for end, row in zip(asked.last, rows, strict=True)
    ]
    if calendar is not None:
        edges = [calendar.format(row) for row in edges]
    counts = model.expected_count(edges, asked.table, **given)
    parts = zip(rows, asked.last, np.array(counts).reshape(len(rows), -1), strict=True)
    return np.concatenate([np.where(r < end, np.nan, np.cumsum(n)) for r, end, n in parts])
