"""`neurode fit events`: when things happen, as an intensity."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurode.cli import options
from neurode.cli.errors import Mistake, interruptible
from neurode.cli.fit import (
    AGAIN,
    Data,
    LearningRate,
    Out,
    Steps,
    check_ended,
    describe_run,
    open_folder,
    report_command,
)

if TYPE_CHECKING:
    from neurode.data import Events
    from neurode.estimators import PoissonProcess

Column = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COLUMN",
        help="Column of the times, numbers or dates. Not needed if there is one only.",
    ),
]
Trial = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Column that tells windows (trials) apart."),
]
From = Annotated[
    str | None, typer.Option("--from", metavar="T", help="When watching began: number or date.")
]
To = Annotated[
    str | None, typer.Option("--to", metavar="T", help="When it ended, also without an event.")
]
Precision = Annotated[
    float | None,
    typer.Option("--prior-precision", metavar="X", help="Higher for a smoother intensity."),
]


def events(
    data: Data,
    out: Out,
    time: Column = None,
    id: Trial = None,
    begin: From = None,
    end: To = None,
    steps: Steps = None,
    learning_rate: LearningRate = None,
    prior_precision: Precision = None,
    seed: options.Seed = 0,
    resume: options.Resume = True,
    quiet: options.Quiet = False,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
) -> None:
    """Learn how often something happens, and when, from the times at which it did.

    One row of DATA per event, in any order. --from and --to say when it was watched; left out,
    from the first event to the last. With --id all windows are (--from, --to) on a clock of their
    own, as repetitions of a trial are.

    The run folder gets the model, its settings, its metrics, intensity.csv, figures and
    report.html. Ctrl-C saves and stops; the same command goes on.

    \b
    Examples:
      neurode fit events times.csv --out run/
      neurode fit events log.csv --from 2024-01-01 --to 2025-01-01 --out run/
      neurode fit events spikes.csv --id trial --from 0 --to 500 --out run/
    """
    settings = {
        "steps": steps,
        "learning_rate": learning_rate,
        "prior_precision": prior_precision,
        "random_state": seed,
    }
    window = read_window(begin, end)
    if id is not None and window is None:
        raise Mistake("--id tells windows apart: say with --from and --to how long each of them is")
    how = {"encoding": encoding, "delimiter": delimiter, "decimal": decimal}
    found = _read(data, time, id, window, how)
    described = {
        "data": {
            "file": str(data.resolve()),
            "time": time,
            "id": id,
            "from": begin,
            "to": end,
        },
        "settings": settings,
    }
    open_folder(out, described, resume)
    model = _make(settings, progress=not quiet)
    with interruptible(f"{out} holds what was saved; {AGAIN}"):
        model.fit(found, run=out, resume=resume)
    check_ended(model, out)
    describe_run(out, described)
    if window is None:
        print(
            "watched from the first event to the last, as no --from and --to say otherwise",
            file=sys.stderr,
        )
    print(model.summary_text())
    residuals = model.residuals(found)
    print(
        f"time rescaling: Kolmogorov-Smirnov distance {residuals.statistic:.3g}, "
        f"p = {residuals.p_value:.2g} (of the events it was fitted to)"
    )
    print(f"model: {model.save(out)}")
    _report(out, model, found)


def read_window(begin: str | None, end: str | None) -> tuple[Any, Any] | None:
    """The window of --from and --to: two numbers, two dates as text, or None for neither.

    Raises:
        Mistake: only one of them was given, or one is a number and the other is not.
    """
    if begin is None and end is None:
        return None
    if begin is None or end is None:
        raise Mistake("--from and --to belong together: give both, or neither")
    numbers = []
    for text in (begin, end):
        with suppress(ValueError):
            numbers.append(float(text))
    if len(numbers) == 1:
        raise Mistake(f"--from {begin} and --to {end}: give two numbers, or two dates")
    return (numbers[0], numbers[1]) if numbers else (begin, end)


def _read(data: Path, time: str | None, id: str | None, window: Any, how: Any) -> "Events":
    from neurode.data import read_event_file

    return read_event_file(data, time, id=id, windows=window, **how)


def _make(settings: dict[str, Any], progress: bool) -> "PoissonProcess":
    from neurode.estimators import PoissonProcess

    given = {name: value for name, value in settings.items() if value is not None}
    return PoissonProcess(progress=progress, **given)


def _report(out: Path, model: "PoissonProcess", found: "Events") -> None:
    from neurode.cli.events_page import write_events_report, write_intensity

    print(f"intensity: {write_intensity(out / 'intensity.csv', model)}")
    command = report_command()
    if command is None:
        return
    print(f"report: {write_events_report(out, model, found, command=command).resolve()}")
