"""`neurode predict`: a fitted model at any times, or for the rows of a file, as CSV."""

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
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Rows to predict, of a classifier or regressor."),
    ] = None,
    times: Annotated[
        str | None,
        typer.Option(
            "--times", metavar="TIMES", help="1900:1930, 1900:1930:0.5, 1900,1905.5, or a mix."
        ),
    ] = None,
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
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
) -> None:
    """Print what a fitted model predicts, as CSV.

    Of dynamics: the values at any --times, before, within or beyond the data; several fitted
    series are told apart by their id in the first column. Of event times: the intensity at any
    --times, with its 95% band. Of a classifier or a regressor: the target of each row of DATA, and
    the probability of each label.

    \b
    Examples:
      neurode predict run/ new.csv --out labels.csv
      neurode predict run/ --times 1900:1930:0.5 --out forecast.csv
      neurode predict run/ --times 0:10 --start hare=30,lynx=4
    """
    from neurode.estimators import LatentODE, PoissonProcess, load

    with interruptible("nothing was written"), blaming(field):
        if field is not None and times is not None:
            options.parse_times(times)  # a slip is told before the user's code runs
        model = load(run, field=load_field(field))
        if isinstance(model, LatentODE):
            raise Mistake(f"{run} holds a LatentODE: use `neurode forecast {run} --times …`")
        if hasattr(model, "tune_tolerance"):
            how = {"encoding": encoding, "delimiter": delimiter, "decimal": decimal}
            text = _predict_rows(model, data, read_data_names(run), how, given=times or start)
        elif isinstance(model, PoissonProcess):
            text = _predict_intensity(model, times, run, given=data or start)
        else:
            text = _predict_times(model, times, start, read_data_names(run), given=data)
    if out is None:
        sys.stdout.write(text)
        return
    from neurode.store import write_bytes

    write_bytes(out, text.encode())
    print(f"written: {out.resolve()}", file=sys.stderr)


def _predict_times(
    model: Any, times: str | None, start: str | None, names: dict[str, Any], given: Path | None
) -> str:
    import numpy as np

    if given is not None or times is None:
        raise Mistake(
            f"a {type(model).__name__} predicts at times, not rows of a file: write --times "
            "1900:1930"
        )
    wanted = np.array(options.parse_times(times))
    state = options.parse_state(start, model.names_)
    values = np.asarray(model.predict(wanted, y0=state))
    return format_csv(wanted, values, model.names_, names)


def _predict_intensity(model: Any, times: str | None, run: Path, given: Path | str | None) -> str:
    if given is not None or times is None:
        raise Mistake(
            f"{run} holds an intensity, which has values at any time, but neither state nor rows: "
            f"write --times 1900:1930, and leave out --start and files"
        )
    return format_intensity(model, parse_intensity_times(model, times))


def _predict_rows(
    model: Any, data: Path | None, names: dict[str, Any], how: dict[str, Any], given: str | None
) -> str:
    from neurode.data import read_labelled

    if data is None or given:
        raise Mistake(
            f"an {type(model).__name__} predicts rows of a file, not times: write neurode predict "
            "RUN DATA"
        )
    if not model.names_:
        raise Mistake("this model was fitted to images, which no table holds: predict from Python")
    rows = read_labelled(data, None, model.names_, numeric=False, **how).values
    header = [names.get("target") or "prediction"]
    found = model.predict(rows).tolist()
    columns = [[f"{x:.10g}" if isinstance(x, float) else str(x) for x in found]]
    if hasattr(model, "classes_"):
        header += [f"p({label})" for label in model.classes_]
        columns += [[f"{x:.6g}" for x in column] for column in model.predict_proba(rows).T.tolist()]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return stream.getvalue()


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
