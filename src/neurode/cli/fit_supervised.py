"""`neurode fit classifier` and `neurode fit regressor`: a column of a table from the others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import options
from neurode.cli.errors import Mistake, interruptible
from neurode.cli.fit import (
    AGAIN,
    Data,
    Hidden,
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

_ENOUGH = 50  # held-out rows, to choose a looser tolerance by than that of the training

if TYPE_CHECKING:
    import numpy as np

    from neurode.data import LabelledRows

Target = Annotated[str, typer.Option("--target", metavar="COLUMN", help="Column to be learned.")]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="A,B,…", help="Columns to learn from. All others if left out."
    ),
]
Augment = Annotated[
    int | None,
    typer.Option("--augment", metavar="N", min=0, help="Zeros appended to the state (ANODE)."),
]
Tolerance = Annotated[
    float | None, typer.Option("--tolerance", metavar="X", help="Of the solves in training.")
]
Balanced = Annotated[
    bool, typer.Option("--balanced", help="Weigh classes by the inverse of their frequencies.")
]


def classifier(
    data: Data,
    target: Target,
    out: Out,
    columns: Columns = None,
    balanced: Balanced = False,
    hold_out: HoldOut = 0.2,
    augment: Augment = None,
    tolerance: Tolerance = None,
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
    """Learn the labels in one column of DATA from the other columns.

    The network is a linear layer, an ODE and a linear head. The run folder gets the model, its
    settings, its metrics, figures and report.html; the rows held out choose the tolerance of
    predictions. Ctrl-C saves and stops; the same command goes on. `neurode predict` reads it.

    \b
    Examples:
      neurode fit classifier iris.csv --target species --out run/
      neurode fit classifier data.csv --target label --augment 4 --out run/
    """
    settings = _gather(hidden, augment, tolerance, steps, learning_rate, weight_decay, seed)
    settings["class_weight"] = "balanced" if balanced else None
    how = {"encoding": encoding, "delimiter": delimiter, "decimal": decimal}
    _fit("classifier", data, target, out, columns, hold_out, settings, how, resume, quiet)


def regressor(
    data: Data,
    target: Target,
    out: Out,
    columns: Columns = None,
    hold_out: HoldOut = 0.2,
    augment: Augment = None,
    tolerance: Tolerance = None,
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
    """Learn the numbers in one column of DATA from the other columns.

    As `neurode fit classifier`, by least squares.

    \b
    Example:
      neurode fit regressor houses.csv --target price --out run/
    """
    settings = _gather(hidden, augment, tolerance, steps, learning_rate, weight_decay, seed)
    how = {"encoding": encoding, "delimiter": delimiter, "decimal": decimal}
    _fit("regressor", data, target, out, columns, hold_out, settings, how, resume, quiet)


def up_to_training(tolerance: float) -> "np.ndarray":
    """Tolerances to choose from where few rows are held out, which tell little of looser ones."""
    import numpy as np

    return tolerance * 10.0 ** np.arange(-2, 0.25, 0.5)


def split_labelled(
    table: "LabelledRows", share: float, seed: int, *, by_label: bool
) -> "tuple[LabelledRows, LabelledRows | None]":
    """Hold some rows out, drawn at random.

    Args:
        table: all rows.
        share: of the rows to hold out.
        seed: of the draw.
        by_label: draw about the same share of each label, and leave one row of it to learn from.
    """
    import numpy as np

    labels = table.target if by_label else None
    if labels is None:
        drawn = draw_held_out(len(table.values), share, seed)
        return (table, None) if drawn is None else (table.select(drawn[0]), table.select(drawn[1]))
    order = np.random.default_rng(seed).permutation(len(labels))
    place = np.empty(len(labels))  # among the rows of its label; 1 is the last of them
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        place[rows] = np.arange(1, len(rows) + 1) / len(rows)
    held = min(int(share * len(labels)), int(np.sum(place < 1)))
    if held == 0:
        return table, None
    drawn = order[np.argsort(place[order], kind="stable")]
    return table.select(np.sort(drawn[held:])), table.select(np.sort(drawn[:held]))


def _gather(hidden, augment, tolerance, steps, learning_rate, weight_decay, seed) -> dict[str, Any]:
    return {
        "hidden": options.parse_widths(hidden),
        "augment": augment,
        "tolerance": tolerance,
        "steps": steps,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "random_state": seed,
    }


def _fit(
    kind: str,
    data: Path,
    target: str,
    out: Path,
    columns: str | None,
    hold_out: float,
    settings: dict[str, Any],
    how: dict[str, Any],
    resume: bool,
    quiet: bool,
) -> None:
    from neurode.data import read_labelled
    from neurode.estimators import ODENetClassifier, ODENetRegressor

    is_classifier = kind == "classifier"
    names = options.parse_names(columns)
    table = read_labelled(data, target, names, numeric=not is_classifier, **how)
    described = {
        "data": {"file": str(data.resolve()), "columns": list(table.names), "target": target},
        "settings": settings | {"kind": kind, "hold_out": hold_out},
    }
    seed = settings["random_state"]
    learned, held_out = split_labelled(table, hold_out, seed, by_label=is_classifier)
    if not len(learned.values):
        raise Mistake(f"--hold-out {hold_out:g} leaves no row to learn from")
    open_folder(out, described, resume)
    given = {name: value for name, value in settings.items() if value is not None}
    make: Any = ODENetClassifier if is_classifier else ODENetRegressor
    model = make(progress=not quiet, **given)
    with interruptible(f"{out} holds what was saved; {AGAIN}"):
        model.fit(learned.values, learned.target, names=table.names, run=out, resume=resume)
    check_ended(model, out)
    describe_run(out, described)
    print(model.summary_text())
    dial = None
    if held_out is not None:
        model.save(out)  # however the judging ends
        score = model.score(held_out.values, held_out.target)
        word = "accuracy" if is_classifier else "R²"
        print(f"{word} on {len(held_out.values)} held-out rows: {score:.4g}")
        is_few = len(held_out.values) < _ENOUGH
        dial = model.tune_tolerance(
            held_out.values, held_out.target, up_to_training(model.tolerance) if is_few else None
        )
        few = f"; {_ENOUGH} rows may choose a looser one than the training's" if is_few else ""
        print(f"tolerance of predictions, from those rows: {dial.chosen:.1e}{few}")
    print(f"model: {model.save(out)}")
    _report(out, model, held_out, dial, target)


def _report(out: Path, model: Any, held_out: Any, dial: Any, target: str) -> None:
    command = report_command()
    if command is None:
        return
    from neurode.cli.supervised_page import write_supervised_report

    page = write_supervised_report(out, model, held_out, dial, target=target, command=command)
    print(f"report: {page.resolve()}")
