"""`neurode sample` and `neurode score`: new rows from a fitted density, and how likely rows are."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import options
from neurode.cli.errors import Mistake, interruptible

if TYPE_CHECKING:
    import numpy as np

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder that `neurode fit density` wrote.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="CSV file. Standard output if left out."),
]


def sample(
    run: Run,
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many rows.")] = 1000,
    context: Annotated[
        str | None,
        typer.Option("--context", metavar="A=X,…", help="Values the rows are conditioned on."),
    ] = None,
    out: Out = None,
    seed: options.Seed = 0,
) -> None:
    """Draw new rows from a fitted density, as CSV in the columns of the data.

    \b
    Examples:
      neurode sample run/ -n 10000 --out new.csv
      neurode sample run/ -n 10 --context age=40
    """
    with interruptible("nothing was written"):
        model = _load(run)
        given = _parse_context(context, run)
        rows = model.sample(count, context=given, random_state=seed)
    _write(out, model.names_, rows)


def score(
    run: Run,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="CSV, TSV or Parquet file.")],
    out: Out = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
) -> None:
    """Print the log-density of each row of DATA under a fitted density, as CSV, in nats.

    The mean, and the least likely row, go to standard error.

    \b
    Example:
      neurode score run/ data.csv --out scores.csv
    """
    import numpy as np

    from neurode.data import read_rows

    with interruptible("nothing was written"):
        model = _load(run)
        names = _context_names(run)
        wanted = [*model.names_, *names]
        table = read_rows(data, wanted, encoding=encoding, delimiter=delimiter, decimal=decimal)
        given = table.select(names) if names else None
        found = model.score_samples(table.select(model.names_), context=given)
    _write(out, ("log_density",), found[:, None])
    least = int(np.argmin(found))
    print(
        f"{len(found)} rows, {found.mean():.5g} nats per row; least likely: row {least} "
        f"({found[least]:.5g})",
        file=sys.stderr,
    )


def _load(run: Path) -> Any:
    from neurode.estimators import ContinuousFlow, load

    model = load(run)
    if not isinstance(model, ContinuousFlow):
        raise Mistake(
            f"{run} holds a {type(model).__name__}, not a density: fit one with "
            "`neurode fit density`"
        )
    return model


def _context_names(run: Path) -> list[str]:
    from neurode.cli.predict import read_data_names

    return list(read_data_names(run).get("context") or [])


def _parse_context(text: str | None, run: Path) -> "np.ndarray | None":
    import numpy as np

    names = _context_names(run)
    if text is None:
        if names:
            example = ",".join(f"{name}=1" for name in names)
            raise Mistake(f"the density is conditioned on {', '.join(names)}: --context {example}")
        return None
    numbers = options.parse_numbers(text, "--context")
    if set(numbers) != set(names):
        known = ", ".join(names) or "nothing"
        raise Mistake(f"--context {text!r}: the density is conditioned on {known}; give each once")
    return np.array([[numbers[name] for name in names]])


def _write(out: Path | None, names: tuple[str, ...], rows: "np.ndarray") -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([f"{value:.10g}" for value in row] for row in rows)
    if out is None:
        sys.stdout.write(stream.getvalue())
        return
    from neurode.store import write_bytes

    write_bytes(out, stream.getvalue().encode())
    print(f"written: {out.resolve()}", file=sys.stderr)
