"""`neurode forecast`: what comes after the observed series, with intervals, as CSV."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import options
from neurode.cli.errors import Mistake, interruptible
from neurode.cli.predict import read_data_names

if TYPE_CHECKING:
    import numpy as np

    from neurode.estimators import Forecast, LatentODE

_MOST = 1_000_000


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
    ids: Annotated[
        str | None, typer.Option("--ids", metavar="A,B,…", help="Only these series.")
    ] = None,
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

    \b
    Examples:
      neurode forecast run/ --horizon 30
      neurode forecast run/ --horizon 30 --every 0.5 --data new.csv --out forecast.csv
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
        found = _forecast(model, names, horizon, every, times, data, ids, level, samples)
    text = format_forecast(found, names.get("id") or "id", names.get("time") or "time")
    if out is None:
        sys.stdout.write(text)
        return
    from neurode.store import write_bytes

    write_bytes(out, text.encode())
    print(f"written: {out.resolve()}", file=sys.stderr)


def _forecast(
    model: "LatentODE",
    names: dict[str, Any],
    horizon: float | None,
    every: float | None,
    times: str | None,
    data: Path | None,
    ids: str | None,
    level: float,
    samples: int,
) -> "Forecast":
    import numpy as np

    from neurode.data import read_table

    table, labels, last = None, model.labels_, model.last_times_
    if data is not None:
        id = names.get("id")
        columns = list(model.names_)
        table = read_table(data, names.get("time") or "time", columns, id=id, dates=True, least=1)
        parts = table.split()
        labels = None if id is None else tuple(parts)
        last = np.array([part.times[-1] for part in parts.values()])
    chosen = None if ids is None else [name.strip() for name in ids.split(",")]
    if times is not None:
        wanted = _parse_times(times, model.calendar_)
    else:
        wanted = _spread_times(last, horizon, model.gap_ if every is None else every)
        if chosen is not None:
            from neurode.estimators.predictive import check_ids

            wanted = [wanted[i] for i in check_ids(chosen, labels, len(last))]
        if model.calendar_ is not None:
            wanted = [model.calendar_.format(row) for row in wanted]
        if len(wanted) == 1 and labels is None:
            wanted = wanted[0]
    return model.forecast(wanted, table, ids=chosen, level=level, samples=samples)


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


def format_forecast(found: "Forecast", id: str, time: str) -> str:
    """Return a forecast as CSV: id (of several series), time, and each variable's three columns.

    Args:
        found: the forecast.
        id: what the data call their series.
        time: and their times.
    """
    frame = found.to_frame(id, time)
    return frame.to_csv(index=False, float_format="%.10g", lineterminator="\n")
