"""`neurode fit`: a model, a file of data, and a run folder with all that came out."""

import dataclasses
import importlib.util
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import options
from neurode.cli.errors import Interrupted, Mistake, interruptible
from neurode.cli.field import blaming, load_field

if TYPE_CHECKING:
    import numpy as np

    from neurode.data import Table
    from neurode.estimators import NeuralODE

CONFIG = "config.json"
OURS = "command_line"  # the part of config.json that is written here
AGAIN = "the same command goes on from the last checkpoint"

Data = Annotated[Path, typer.Argument(metavar="DATA", help="CSV, TSV or Parquet file.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Run folder, made if missing.")]
Until = Annotated[
    float | None,
    typer.Option("--until", metavar="T", help="Learn up to this time; judge on what follows."),
]
Log = Annotated[
    bool, typer.Option("--log", help="Positive data whose noise is in percent: fit logarithms.")
]
Start = Annotated[
    str | None,
    typer.Option(
        "--parameters",
        metavar="NAME[=START],…",
        help="Unknown parameters of the ODE f(t, y, p) that --field names. Those without a start "
        "value begin with what gradient matching finds.",
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="How they are estimated: shooting (the default), multiple_shooting, "
        "gradient_matching or orthogonality.",
    ),
]
Positive = Annotated[bool, typer.Option("--positive", help="All parameters are > 0.")]
Hidden = Annotated[
    str | None,
    typer.Option("--hidden", metavar="N,…", help="Widths of the network's layers, such as 32,32."),
]
Steps = Annotated[
    int | None, typer.Option("--steps", metavar="N", min=1, help="Updates of the network.")
]
LearningRate = Annotated[
    float | None, typer.Option("--learning-rate", metavar="X", help="Of these updates, at first.")
]
WeightDecay = Annotated[
    float | None,
    typer.Option("--weight-decay", metavar="X", help="More of it for smoother dynamics."),
]
HoldOut = Annotated[
    float,
    typer.Option("--hold-out", metavar="SHARE", min=0.0, max=0.9, help="Rows to be judged by."),
]

app = typer.Typer(
    help="Fit a model to your data.", rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.command()
def dynamics(
    data: Data,
    time: options.Time,
    out: Out,
    columns: options.Columns = None,
    id: options.Id = None,
    until: Until = None,
    log: Log = False,
    field: options.Field = None,
    parameters: Start = None,
    method: Method = None,
    positive: Positive = False,
    hidden: Hidden = None,
    steps: Steps = None,
    learning_rate: LearningRate = None,
    weight_decay: WeightDecay = None,
    seed: options.Seed = 0,
    resume: options.Resume = True,
    quiet: options.Quiet = False,
    sort: options.Sort = False,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
) -> None:
    """Learn y' = f(t, y) from observed trajectories.

    One row of DATA per time; empty cells are missing values; times may be irregular. A neural
    network is trained through the solver, or, with --field and --parameters, the unknown
    parameters of an ODE you wrote are estimated, with standard errors.

    The run folder gets the model, its settings, its metrics, figures and report.html. Ctrl-C
    saves and stops; the same command goes on. What is left out of the flags of the network has
    the default of `neurode.NeuralODE`.

    \b
    Examples:
      neurode fit dynamics data.csv --time year --out run/
      neurode fit dynamics data.csv --time year --until 1915 --out run/
      neurode fit dynamics data.csv --time t --out run/ \\
          --field model.py:f --parameters a=0.5,b=0.02 --positive
      neurode fit dynamics data.csv --time t --out run/ \\
          --field model.py:f --parameters a,b --method multiple_shooting
    """
    settings = {
        "field": field,
        "parameters": options.parse_parameters(parameters) or None,
        "method": method,
        "positive": positive,
        "log": log,
        "hidden": options.parse_widths(hidden),
        "steps": steps,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "seed": seed,
    }
    _check_together(settings)
    how = {"sort": sort, "encoding": encoding, "delimiter": delimiter, "decimal": decimal}
    learned, held_out = split_table(read_data(data, time, columns, id, how), until)
    described = {
        "data": {
            "file": str(data.resolve()),
            "time": time,
            "columns": list(learned.names),
            "id": id,
            "series": list(learned.split()) if id else None,
            "until": until,
        },
        "settings": settings,
    }
    open_folder(out, described, resume)
    model = make_estimator(settings, progress=not quiet)
    hint = "the same command starts anew" if parameters else f"{out} holds what was saved; {AGAIN}"
    with interruptible(hint), blaming(field):
        model.fit(learned, run=out, resume=resume)
    check_ended(model, out)
    keep(out, model, described)
    print(model.summary_text())
    print(f"model: {model.save(out)}")
    _report(out, model, learned, held_out)


def read_data(
    data: Path, time: str, columns: str | None, id: str | None, how: dict[str, Any]
) -> "Table":
    """Read a table, or say in one line why not; see `neurode.data.read_table`."""
    from neurode.data import read_table

    return read_table(data, time, options.parse_names(columns), id=id, **how)


def split_table(
    table: "Table", until: float | None, least: int = 2
) -> "tuple[Table, Table | None]":
    """Split a table into what is learned from and what is held out.

    Args:
        table: all rows.
        until: the last time to learn from, or None for all.
        least: rows that each series must keep.

    Raises:
        Mistake: nothing is left on one side, or a series keeps fewer rows.
    """
    if until is None:
        return table, None
    early = table.times <= until
    if early.all():
        last = table.times.max()
        raise Mistake(f"--until {until:.10g} holds nothing out: the last time is {last:.10g}")
    learned = _select_rows(table, early)
    for label, part in table.split().items():
        count = int((part.times <= until).sum())
        if count < least:
            of = f" of series {label!r}" if label else ""
            raise Mistake(
                f"--until {until:.10g} leaves {count} rows{of} to learn from; {least} are needed, "
                f"so let it be at least {part.times[least - 1]:.10g}"
            )
    return learned, _select_rows(table, ~early)


def open_folder(out: Path, described: dict[str, Any], resume: bool) -> None:
    """Make the run folder; refuse one that holds a fit of something else.

    Args:
        out: the folder.
        described: what is about to be fitted, as `keep` writes it.
        resume: False replaces whatever is there.

    Raises:
        Mistake: the folder is a file, or holds another fit.
        SaveError: it cannot be made.
    """
    from neurode.store import saving

    with saving(out):
        options.check_folder(out).mkdir(parents=True, exist_ok=True)
    there = _read_config(out).get(OURS)
    if there is None or not resume:
        return
    now = json.loads(json.dumps(described))
    differences = [
        f"{name}: {json.dumps(there.get(part, {}).get(name))} -> {json.dumps(value)}"
        for part, values in now.items()
        for name, value in values.items()
        if there.get(part, {}).get(name) != value
    ]
    if differences:
        raise Mistake(
            f"{out} holds another fit ({'; '.join(differences)}); choose another --out, or "
            "replace it with --no-resume"
        )


def make_estimator(settings: dict[str, Any], progress: bool) -> "NeuralODE":
    """Make the estimator that the flags ask for.

    Args:
        settings: the flags by name.
        progress: whether it shows its training.
    """
    from neurode.estimators import NeuralODE

    names = ("method", "hidden", "steps", "learning_rate", "weight_decay")
    given = {name: settings[name] for name in names if settings[name] is not None}
    return NeuralODE(
        load_field(settings["field"]),
        parameters=settings["parameters"],
        positive=settings["positive"],
        transform="log" if settings["log"] else "identity",
        random_state=settings["seed"],
        progress=progress,
        **given,
    )


def keep(out: Path, model: "NeuralODE", described: dict[str, Any]) -> None:
    """Write what was asked for into config.json, and metrics.jsonl if training did not.

    Args:
        out: the run folder.
        model: the fitted estimator.
        described: the data and the settings.
    """
    from neurode.store import write_bytes

    describe_run(out, described, keep_config=not model.parameters)
    if model.parameters:
        columns = {name: values.tolist() for name, values in model.history_.items()}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        write_bytes(out / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in rows).encode())


def describe_run(out: Path, described: dict[str, Any], keep_config: bool = True) -> None:
    """Write what was asked for into config.json.

    Args:
        out: the run folder.
        described: the data and the settings.
        keep_config: whether training wrote its own part there.
    """
    from neurode.store import write_bytes

    config = _read_config(out) if keep_config else {}
    text = json.dumps(config | {OURS: described}, indent=2)
    write_bytes(out / CONFIG, (text + "\n").encode())


def check_ended(model: Any, out: Path) -> None:
    """Say how to go on with a fit that was interrupted.

    Raises:
        Interrupted: it was.
    """
    if model.stats_["interrupted"]:
        raise Interrupted(f"saved in {out} at step {model.stats_['steps']}; {AGAIN}")


def report_command() -> str | None:
    """What was typed, for a report. Without matplotlib None, and a line that says so."""
    if importlib.util.find_spec("matplotlib") is None:
        print('no report: it needs matplotlib: pip install "neurode[report]"', file=sys.stderr)
        return None
    return shlex.join(["neurode", *sys.argv[1:]])


def draw_held_out(count: int, share: float, seed: int) -> "tuple[np.ndarray, np.ndarray] | None":
    """Positions of rows to learn from and of rows to hold out, at random; None to hold out none.

    Args:
        count: of rows.
        share: of them to hold out.
        seed: of the draw.
    """
    import numpy as np

    held = int(share * count)
    if held == 0:
        return None
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held:]), np.sort(order[:held])


def _report(out: Path, model: "NeuralODE", learned: "Table", held_out: "Table | None") -> None:
    command = report_command()
    if command is None:
        return
    from neurode.cli.dynamics_page import write_report

    print(f"report: {write_report(out, model, learned, held_out, command=command).resolve()}")


def _check_together(settings: dict[str, Any]) -> None:
    if settings["parameters"] and not settings["field"]:
        raise Mistake("--parameters are those of an ODE: name it with --field FILE.py:NAME")
    if settings["method"] and not settings["parameters"]:
        raise Mistake("--method is how --parameters are estimated, but there are none: give both")
    if settings["positive"] and not settings["parameters"]:
        raise Mistake("--positive is about --parameters, but there are none: give both")


def _select_rows(table: "Table", rows: Any) -> "Table":
    ids = None if table.ids is None else table.ids[rows]
    return dataclasses.replace(table, times=table.times[rows], values=table.values[rows], ids=ids)


def _read_config(out: Path) -> dict[str, Any]:
    try:
        config = json.loads((out / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
