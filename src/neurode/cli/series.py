"""`neurode fit series`: a latent ODE for irregular, partly observed series."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import fit, options, series_events
from neurode.cli.errors import Mistake, interruptible

if TYPE_CHECKING:
    import numpy as np

    from neurode.data import Table
    from neurode.estimators import LatentODE

TimeOrDate = Annotated[
    str, typer.Option("--time", metavar="COLUMN", help="Column of the times: numbers or dates.")
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="T", help="Learn up to this time or date; judge on the rest."),
]
Latent = Annotated[
    int | None, typer.Option("--latent", metavar="N", min=1, help="Dimensions of the latent state.")
]
Encoder = Annotated[
    str | None, typer.Option("--encoder", metavar="NAME", help="rnn, gru or ode-rnn.")
]
Likelihood = Annotated[
    str | None,
    typer.Option("--likelihood", metavar="NAME", help="gaussian, bernoulli or poisson."),
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length", metavar="N", min=2, help="Longer series are learned in stretches of N rows."
    ),
]
Batch = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", min=1, help="Stretches per update.")
]
_SETTINGS = (
    "latent",
    "encoder",
    "likelihood",
    "events",
    "max_length",
    "batch_size",
    "hidden",
    "steps",
    "learning_rate",
    "weight_decay",
)


def series(
    data: fit.Data,
    time: TimeOrDate,
    out: fit.Out,
    columns: options.Columns = None,
    id: options.Id = None,
    until: Until = None,
    events: series_events.EventsFlag = None,
    events_file: series_events.EventsFile = None,
    latent: Latent = None,
    encoder: Encoder = None,
    likelihood: Likelihood = None,
    max_length: MaxLength = None,
    batch_size: Batch = None,
    hidden: fit.Hidden = None,
    steps: fit.Steps = None,
    learning_rate: fit.LearningRate = None,
    weight_decay: fit.WeightDecay = None,
    seed: options.Seed = 0,
    resume: options.Resume = True,
    quiet: options.Quiet = False,
    sort: options.Sort = False,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
) -> None:
    """Learn a latent ODE from irregular series, to forecast them and others like them.

    One row of DATA per series and observed time; empty cells are missing values; times may be
    irregular, and different for every series. `neurode forecast` goes on from there.

    --events or --events-file joins what happens along a series to its values: a rate of events is
    learned from the same latent state. A series is watched from its first row, which is not
    counted, to its last; a row without values makes it longer.

    The run folder gets the model, its settings, its metrics, figures and report.html. Ctrl-C
    saves and stops; the same command goes on. What is left out of the flags of the model has the
    default of `neurode.LatentODE`.

    \b
    Examples:
      neurode fit series long.csv --id patient --time t --out run/
      neurode fit series long.csv --time date --until 2024-06-01 --out run/
      neurode fit series long.csv --id patient --time t --out run/ \\
          --events-file seizures.csv
      neurode fit series visits.csv --id patient --time date --out run/ \\
          --events times
    """
    from neurode.data import read_table

    settings = {
        "latent": latent,
        "encoder": encoder,
        "likelihood": likelihood,
        "events": events,
        "max_length": max_length,
        "batch_size": batch_size,
        "hidden": options.parse_widths(hidden),
        "steps": steps,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "seed": seed,
    }
    how = {"encoding": encoding, "delimiter": delimiter, "decimal": decimal}
    wanted = series_events.add_count_column(options.parse_names(columns), events, time, id)
    table = read_table(data, time, wanted, id=id, sort=sort, dates=True, least=1, **how)
    happened = series_events.read_series_events(table, events, events_file, id, how)
    learned, held_out = fit.split_table(table, read_until(until, table.calendar), least=1)
    given = None if events_file is None else series_events.give_events(happened, learned)
    about = {"file": str(data.resolve()), "time": time, "columns": list(learned.names), "id": id}
    about |= {"series": list(learned.split()) if id else None, "until": until}
    about["events_file"] = None if events_file is None else str(events_file.resolve())
    described = {"data": about, "settings": settings}
    fit.open_folder(out, described, resume)
    model = make_latent(settings, progress=not quiet)
    with interruptible(f"{out} holds what was saved; {fit.AGAIN}"):
        model.fit(learned, id=id, time=time, events=given, run=out, resume=resume)
    _finish(out, described, model, learned, held_out, happened)


def read_until(text: str | None, calendar: Any) -> float | None:
    """Read --until as a number, or as a date if the times are dates.

    Raises:
        Mistake: it is neither.
    """
    if text is None:
        return None
    if calendar is not None:
        from neurode.data import DataError

        try:
            return float(calendar.parse([text], "--until")[0])
        except DataError as error:
            raise Mistake(str(error)) from None
    try:
        return float(text)
    except ValueError:
        raise Mistake(f"--until {text!r} is not a number, as the times are") from None


def make_latent(settings: dict[str, Any], progress: bool) -> "LatentODE":
    """Make the estimator that the flags ask for.

    Args:
        settings: the flags by name.
        progress: whether it shows its training.
    """
    from neurode.estimators import LatentODE

    given = {name: settings[name] for name in _SETTINGS if settings[name] is not None}
    return LatentODE(random_state=settings["seed"], progress=progress, **given)


def _finish(
    out: Path,
    described: dict[str, Any],
    model: "LatentODE",
    learned: "Table",
    held_out: "Table | None",
    happened: "dict[str, np.ndarray] | None",
) -> None:
    fit.check_ended(model, out)
    fit.describe_run(out, described)
    print(model.summary_text())
    print(f"model: {model.save(out)}")
    command = fit.report_command()
    if command is None:
        return
    from neurode.cli.series_page import write_report

    page = write_report(out, model, learned, held_out, happened, command=command)
    print(f"report: {page.resolve()}")
