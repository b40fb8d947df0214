"""`neurode fit density`: the density of a table's rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import options
from neurode.cli.errors import Mistake, interruptible
from neurode.cli.fit import (
    AGAIN,
    Data,
    HoldOut,
    LearningRate,
    Out,
    Steps,
    WeightDecay,
    check_ended,
    describe_run,
    draw_held_out,
    open_folder,
    report_command,
)

if TYPE_CHECKING:
    from neurode.data import Rows
    from neurode.estimators import ContinuousFlow

Given = Annotated[
    str | None,
    typer.Option("--context", metavar="A,B,…", help="Columns the density is conditioned on."),
]
Whole = Annotated[
    str | None, typer.Option("--discrete", metavar="A,B,…", help="Columns of whole numbers.")
]
Between = Annotated[
    str | None,
    typer.Option(
        "--bounds",
        metavar="A=LOW:HIGH,…",
        help="Columns with bounds; leave LOW or HIGH empty for none.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B,…", help="Columns of the density. All if left out."),
]
Kind = Annotated[
    str | None,
    typer.Option("--network", metavar="NAME", help="planar, concatsquash or mlp."),
]
Tails = Annotated[bool, typer.Option("--heavy-tails", help="Start from Student's t, not a normal.")]
Hidden = Annotated[
    str | None, typer.Option("--hidden", metavar="N,…", help="Widths of the network, such as 64.")
]


def density(
    data: Data,
    out: Out,
    columns: Columns = None,
    context: Given = None,
    discrete: Whole = None,
    bounds: Between = None,
    heavy_tails: Tails = False,
    hold_out: HoldOut = 0.1,
    network: Kind = None,
    hidden: Hidden = None,
    steps: Steps = None,
    learning_rate: LearningRate = None,
    weight_decay: WeightDecay = None,
    seed: options.Seed = 0,
    resume: options.Resume = True,
    quiet: options.Quiet = False,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
) -> None:
    """Learn the density of the rows of DATA with a continuous normalizing flow.

    The run folder gets the model, its settings, its metrics, figures and report.html. Ctrl-C
    saves and stops; the same command goes on. `neurode sample` and `neurode score` read it.

    \b
    Examples:
      neurode fit density data.csv --out run/
      neurode fit density data.csv --out run/ --columns x,y --context age
      neurode fit density data.csv --out run/ --discrete count --bounds share=0:1
    """
    settings = {
        "discrete": options.parse_names(discrete) or [],
        "bounds": parse_bounds(bounds),
        "base": "student" if heavy_tails else "normal",
        "field": network,
        "hidden": options.parse_widths(hidden),
        "steps": steps,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "random_state": seed,
    }
    given = options.parse_names(context) or []
    how = {"encoding": encoding, "delimiter": delimiter, "decimal": decimal}
    table, names = _read(data, options.parse_names(columns), given, how)
    described = {
        "data": {"file": str(data.resolve()), "columns": names, "context": given},
        "settings": settings | {"hold_out": hold_out},
    }
    learned, held_out = split_rows(table, hold_out, seed)
    open_folder(out, described, resume)
    model = make_flow_estimator(settings, progress=not quiet)
    with interruptible(f"{out} holds what was saved; {AGAIN}"):
        model.fit(
            learned.select(names),
            context=learned.select(given) if given else None,
            names=names,
            run=out,
            resume=resume,
        )
    check_ended(model, out)
    describe_run(out, described)
    print(model.summary_text())
    if held_out is not None:
        given_rows = held_out.select(given) if given else None
        score = model.score(held_out.select(names), context=given_rows)
        print(f"log-likelihood of {len(held_out.values)} held-out rows: {score:.4g} nats per row")
    print(f"model: {model.save(out)}")
    _report(out, model, learned, held_out, names, given)


def make_flow_estimator(settings: dict[str, Any], progress: bool) -> "ContinuousFlow":
    """Make the estimator that the flags ask for.

    Args:
        settings: its arguments by name; None for the default.
        progress: whether it shows its training.
    """
    from neurode.estimators import ContinuousFlow

    given = {name: value for name, value in settings.items() if value is not None}
    return ContinuousFlow(progress=progress, **given)


def split_rows(table: "Rows", share: float, seed: int) -> "tuple[Rows, Rows | None]":
    """Hold some rows out, drawn at random.

    Args:
        table: all rows.
        share: of the rows to hold out.
        seed: of the draw.
    """
    from neurode.data import Rows

    drawn = draw_held_out(len(table.values), share, seed)
    if drawn is None:
        return table, None
    learned, held_out = (Rows(table.values[rows], table.names, table.source) for rows in drawn)
    return learned, held_out


def parse_bounds(text: str | None) -> dict[str, tuple[float | None, float | None]]:
    """Read "share=0:1,price=0:" as {"share": (0, 1), "price": (0, None)}; None is empty.

    Raises:
        Mistake: a part is not NAME=LOW:HIGH.
    """
    bounds: dict[str, tuple[float | None, float | None]] = {}
    for part in [] if text is None else text.split(","):
        name, equals, pair = (piece.strip() for piece in part.partition("="))
        low, colon, high = (piece.strip() for piece in pair.partition(":"))
        try:
            if not (name and equals and colon):
                raise ValueError
            bounds[name] = (float(low) if low else None, float(high) if high else None)
        except ValueError:
            raise Mistake(
                f"--bounds: {part!r} is not NAME=LOW:HIGH; write --bounds share=0:1,price=0:"
            ) from None
    return bounds


def _read(
    data: Path, columns: list[str] | None, context: list[str], how: dict[str, Any]
) -> "tuple[Rows, list[str]]":
    from neurode.data import read_rows

    wanted = None if columns is None else [*columns, *context]
    table = read_rows(data, wanted, **how)
    table.select(context)  # refuses what is not there
    names = [name for name in table.names if name not in context] if columns is None else columns
    if not names:
        raise Mistake(f"--context {','.join(context)} leaves no column to learn the density of")
    return table, names


def _report(
    out: Path,
    model: "ContinuousFlow",
    learned: "Rows",
    held_out: "Rows | None",
    names: list[str],
    context: list[str],
) -> None:
    command = report_command()
    if command is None:
        return
    from neurode.cli.density_page import write_density_report

    page = write_density_report(
        out, model, learned, held_out, names=names, context=context, command=command
    )
    print(f"report: {page.resolve()}")
