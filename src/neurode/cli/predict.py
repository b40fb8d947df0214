"""`neurode predict`: the values of a fitted model at any times, as CSV."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import options
from neurode.cli.errors import Mistake, interruptible
from neurode.cli.field import blaming, load_field
from neurode.cli.intensity import format_intensity, parse_intensity_times

if TYPE_CHECKING:
    import numpy as np


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `neurode fit` wrote.")],
    times: Annotated[
        str,
        typer.Option(
            "--times", metavar="TIMES", help="1900:1930, 1900:1930:0.5, 1900,1905.5, or a mix."
        ),
    ],
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="NAME=X,…",
            help="State at the first of the times. The fitted trajectory goes on if left out.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="CSV file. Standard output if left out."),
    ] = None,
    field: options.Field = None,
) -> None:
    """Print the values of a fitted model at any times, as CSV.

    Times may lie before, within or beyond the data. Several fitted series are told apart by
    their id in the first column. Of event times it prints the intensity with its 95% band.

    \b
    Examples:
      neurode predict run/ --times 1900:1930:0.5 --out forecast.csv
      neurode predict run/ --times 0:10 --start hare=30,lynx=4
    """
    import numpy as np

    from neurode.estimators import PoissonProcess, load

    with interruptible("nothing was written"), blaming(field):
        model = load(run, field=load_field(field))
        if isinstance(model, PoissonProcess):
            if start is not None:
                raise Mistake(f"{run} holds an intensity, which has no state: leave out --start")
            text = format_intensity(model, parse_intensity_times(model, times))
        else:
            wanted = np.array(options.parse_times(times))
            state = options.parse_state(start, model.names_)
            values = np.asarray(model.predict(wanted, y0=state))
            text = format_csv(wanted, values, model.names_, read_data_names(run))
    if out is None:
        sys.stdout.write(text)
        return
    from neurode.store import write_bytes

    write_bytes(out, text.encode())
    print(f"written: {out.resolve()}", file=sys.stderr)


def format_csv(
    times: "np.ndarray", values: "np.ndarray", names: tuple[str, ...], data: dict[str, Any]
) -> str:
    """Return predictions as CSV, in the columns of the data they were learned from.

    Args:
        times: [T].
        values: [T, d], or [n, T, d] of several series.
        names: of the d variables.
        data: how the data call the time, the id and the series, if that is known.
    """
    time, id = data.get("time") or "time", data.get("id") or "id"
    labels = data.get("series") or []
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if values.ndim == 2:
        writer.writerow([time, *names])
        writer.writerows(_spell_row(row) for row in zip(times, *values.T, strict=True))
        return stream.getvalue()
    labels = labels if len(labels) == len(values) else list(range(len(values)))
    writer.writerow([id, time, *names])
    for label, series in zip(labels, values, strict=True):
        writer.writerows([label, *_spell_row(r)] for r in zip(times, *series.T, strict=True))
    return stream.getvalue()


def _spell_row(row: Any) -> list[str]:
    return [f"{value:.10g}" for value in row]


def read_data_names(run: Path) -> dict[str, Any]:
    """What `neurode fit` noted about the data; nothing for a model saved from Python."""
    from neurode.cli.fit import CONFIG, OURS

    folder = run if run.is_dir() else run.parent
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))[OURS]["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
