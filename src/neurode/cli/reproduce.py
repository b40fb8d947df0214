"""`neurode reproduce`: a table or figure of the paper, run anew."""

from pathlib import Path
from typing import Annotated

import typer

from neurode.cli.errors import Interrupted, Mistake, interruptible
from neurode.cli.options import Quiet, Resume

_AGAIN = "the same command goes on from the last checkpoint"


Name = Annotated[str | None, typer.Argument(metavar="NAME", help="One of those --list names.")]
ListAll = Annotated[
    bool, typer.Option("--list", help="Name the experiments, with the time each takes.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of the data, or file of weights, for those that need it.",
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Minutes instead of hours; the numbers mean little.")
]
Run = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Run folder. A folder in runs/ if left out."),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="table1: one row, such as odenet or resnet."),
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", metavar="N", min=1, help="Passes over the data.")
]
OwnSeed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="Of everything random.")
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="FILE", help="fig1, fig3: of table1's odenet."),
]
Check = Annotated[
    bool, typer.Option("--check", help="Only evaluate the weights in --results once more.")
]
Results = Annotated[
    Path, typer.Option("--results", metavar="DIR", help="Where NAME/metrics.json … go.")
]


def reproduce(
    name: Name = None,
    list_all: ListAll = False,
    data: Data = None,
    quick: Quick = False,
    run: Run = None,
    resume: Resume = True,
    model: Model = None,
    epochs: Epochs = None,
    seed: OwnSeed = None,
    weights: Weights = None,
    check: Check = False,
    results: Results = Path("results"),
    quiet: Quiet = False,
) -> None:
    """Run an experiment of the paper and print "paper | ours | target".

    What is left out of the flags has the paper's value. The run is saved as it goes: stopped by
    Ctrl-C or otherwise, the same command goes on where it was.

    \b
    Examples:
      neurode reproduce --list
      neurode reproduce table1 --data mnist/ --model odenet --epochs 1
    """
    from neurode.reproduce import check_experiment, run_experiment

    if list_all:
        print(list_experiments())
        return
    if name is None:
        raise Mistake("which experiment? `neurode reproduce --list` names them")
    if check:
        print(check_experiment(name, data=data, results=results))
        return
    with interruptible(_AGAIN):
        outcome = run_experiment(
            name,
            data=data,
            run=run,
            quick=quick,
            resume=resume,
            progress=not quiet,
            results=results,
            model=model,
            epochs=epochs,
            seed=seed,
            weights=weights,
        )
    if outcome.interrupted:
        raise Interrupted(f"saved in {outcome.folder}; {_AGAIN}")
    print(outcome.table)
    print(f"run: {outcome.folder}")
    if outcome.results is not None:
        print(f"results: {outcome.results}")


def list_experiments() -> str:
    """Return the experiments, one a line: name, time, what it is."""
    from neurode.reproduce import EXPERIMENTS

    width = max(map(len, EXPERIMENTS))
    times = max(len(experiment.time) for experiment in EXPERIMENTS.values())
    return "\n".join(
        f"{name:<{width}}  {experiment.time:<{times}}  {experiment.title}"
        + (" (needs --data)" if experiment.needs_data else "")
        for name, experiment in EXPERIMENTS.items()
    )
