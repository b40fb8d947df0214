"""All experiments by name, and the one function that runs one."""

import dataclasses
import importlib
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

import neurode
from neurode.reproduce.experiment import ExperimentError, Findings, Outcome, make_config
from neurode.reproduce.results import (
    Row,
    count_numbers,
    describe_machine,
    fill_rows,
    format_table,
    is_complete,
    read_paper,
    write_results,
)


class Experiment(NamedTuple):
    """An entry of the list.

    Attributes:
        module: where it is. It has `Config`, a dataclass; `QUICK`, the changes that make the quick
            version; `name_run(config)`, a folder's name; and
            `run(config, folder, *, data, resume, progress) -> Findings`.
        title: what it shows.
        time: how long it takes on two cores.
        needs_data: whether it needs a folder of data.
    """

    module: str
    title: str
    time: str
    needs_data: bool = False


EXPERIMENTS: dict[str, Experiment] = {
    "table1": Experiment(
        "neurode.reproduce.table1_mnist",
        "Table 1: test error on MNIST, parameters and cost",
        "minutes per epoch and row; --quick 2 minutes a row",
        needs_data=True,
    ),
    "fig1": Experiment(
        "neurode.reproduce.fig1_euler",
        "Figure 1: a residual network as Euler steps of the same trained field",
        "about 5 minutes; --quick 1 minute",
    ),
    "fig3": Experiment(
        "neurode.reproduce.fig3_statistics",
        "Figure 3: error, time and evaluations of a trained ODE-Net over tolerances",
        "about 8 minutes; --quick 2 minutes",
    ),
    "costs": Experiment(
        "neurode.reproduce.costs",
        "Time and memory of Table 1's rows, side by side: one ODE, solved in five ways",
        "about 10 minutes; --quick 3 minutes",
    ),
    "anode": Experiment(
        "neurode.reproduce.anode",
        "Maps that are no homeomorphisms: plain, augmented and composed ODE-Nets",
        "about 8 minutes; --quick 1 minute",
    ),
    "fig4": Experiment(
        "neurode.reproduce.fig4_density_matching",
        "Figure 4: planar flows, discrete and continuous, matched to known densities",
        "about 30 minutes; --quick 2 minutes",
    ),
    "fig5": Experiment(
        "neurode.reproduce.fig5_maximum_likelihood",
        "Figure 5: two circles and two moons by maximum likelihood, and reversed",
        "about 15 minutes; --quick 2 minutes",
    ),
    "change_of_variables": Experiment(
        "neurode.reproduce.change_of_variables",
        "Theorem 1, checked: traces against determinants, mass, Liouville; and its cost",
        "about 3 minutes; --quick 1 minute",
    ),
    "table2": Experiment(
        "neurode.reproduce.table2_spirals",
        "Table 2: latent ODE against recurrent networks on spirals",
        "about 45 minutes; --quick 1 minute",
    ),
    "fig7": Experiment(
        "neurode.reproduce.fig7_poisson",
        "Figure 7: rates of Poisson processes, learned from events and against the truth",
        "about 4 minutes; --quick 1 minute",
    ),
    "fig8": Experiment(
        "neurode.reproduce.fig8_spirals",
        "Figure 8: reconstructions from 30 points, and the latent space",
        "seconds with the weights of table2, else 3 minutes",
    ),
    "fig9": Experiment(
        "neurode.reproduce.fig9_latent_dimensions",
        "Figure 9: decoded trajectories as one latent dimension varies",
        "seconds with the weights of table2, else 2 minutes",
    ),
    "fig10": Experiment(
        "neurode.reproduce.fig10_observations",
        "Figure 10: a growing number of observations",
        "seconds with the weights of table2, else 2 minutes",
    ),
    "parameter_estimation": Experiment(
        "neurode.reproduce.parameter_estimation",
        "Unknown parameters of ODEs: shooting, matching, orthogonality, SciPy, and a network",
        "about 15 minutes; --quick 5 minutes",
    ),
    "sec6": Experiment(
        "neurode.reproduce.sec6_scope",
        "Section 6: how far solves can be reversed, and what a batch costs",
        "about 6 minutes with the weights of table2, else 10; --quick 2 minutes",
    ),
}


def run_experiment(
    name: str,
    *,
    data: str | Path | None = None,
    run: str | Path | None = None,
    quick: bool = False,
    resume: bool = True,
    progress: bool = True,
    results: str | Path = "results",
    command: str | None = None,
    **options: Any,
) -> Outcome:
    """Run an experiment, or go on with it, and write its results.

    The results (metrics.json, figure*.png, command.txt) are written to the run folder, and from
    there to `results`/NAME; but a quick version, a trial, or one that is not complete where a
    complete one lies, stays in the run folder only.

    Args:
        name: a key of `EXPERIMENTS`.
        data: the folder of the data, for those that need one.
        run: the run folder; None is runs/NAME-… below the current folder.
        quick: the small version of the same code, which shows that it works.
        resume: go on with what the run folder holds. False starts anew.
        progress: show it on standard error.
        results: the folder for the results of all experiments.
        command: what was typed, for command.txt; None rebuilds it.
        **options: fields of the experiment's `Config`; None means "not given".

    Returns:
        An `Outcome`.

    Raises:
        ExperimentError: no such experiment or option, a value that cannot be, or no data.
        DataError, ConfigMismatch, RunLocked, TrainingError, SaveError: from the parts.
    """
    if name not in EXPERIMENTS:
        raise ExperimentError(f"no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[name]
    if experiment.needs_data and data is None:
        raise ExperimentError(f"{name} needs the folder of its data: pass data=DIR")
    module = importlib.import_module(experiment.module)
    given = {key: value for key, value in options.items() if value is not None}
    config = make_config(module.Config, (module.QUICK if quick else {}) | given)
    label = module.name_run(config) + ("-quick" if quick else "")
    folder = Path("runs") / f"{name}-{label}" if run is None else Path(run)
    public = Path(results) / name
    if hasattr(module, "restore"):
        module.restore(public, folder)
    found = module.run(config, folder, data=data, resume=resume, progress=progress)
    found = found._replace(complete=found.complete and not quick)
    rows = fill_rows(read_paper(name), found.values)
    target = None
    if not found.interrupted:
        target = folder / "results"
        metrics = _describe(name, command or _typed(), config, found, rows)
        pictures = _encode(found)
        write_results(target, metrics, metrics["command"], pictures)
        is_private = quick or found.is_trial
        # A part never takes the place of more: rows may have been run where this folder is not.
        count = sum(row.ours is not None for row in rows)
        is_less = is_complete(public) or count < count_numbers(public)
        if not is_private and (found.complete or not is_less):
            target = write_results(public, metrics, metrics["command"], pictures)
    table = format_table(rows, found.notes)
    return Outcome(table, rows, folder, target, found.complete, found.interrupted)


def check_experiment(
    name: str, *, data: str | Path | None = None, results: str | Path = "results"
) -> str:
    """Evaluate the weights in `results`/NAME once more, and compare with what was recorded.

    Args:
        name: a key of `EXPERIMENTS`.
        data: the folder of the data.
        results: the folder with the results of all experiments.

    Returns:
        One line per number.

    Raises:
        ExperimentError: there is nothing to check, or a number differs by more than 1%.
    """
    if name not in EXPERIMENTS:
        raise ExperimentError(f"no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    module = importlib.import_module(EXPERIMENTS[name].module)
    if not hasattr(module, "check"):
        raise ExperimentError(f"{name} keeps no weights that could be evaluated once more")
    if EXPERIMENTS[name].needs_data and data is None:
        raise ExperimentError(f"{name} needs the folder of its data: pass data=DIR")
    found = module.check(Path(results) / name, data)
    lines = [f"{c.row}, {c.metric}: {c.recorded:.4g} recorded, {c.now:.4g} now" for c in found]
    wrong = [line for line, each in zip(lines, found, strict=True) if not each.agrees]
    if wrong:
        raise ExperimentError(f"the weights no longer give what was recorded: {'; '.join(wrong)}")
    return "\n".join(lines)


def _describe(
    name: str, command: str, config: Any, found: Findings, rows: list[Row]
) -> dict[str, Any]:
    """What metrics.json holds."""
    return {
        "name": name,
        "command": command,
        "version": neurode.__version__,
        "complete": found.complete,
        "seeds": list(found.seeds),
        "seconds": round(found.seconds, 1),
        "machine": describe_machine(),
        "config": dataclasses.asdict(config),
        "rows": [row._asdict() for row in rows],
    }


def _encode(found: Findings) -> dict[str, bytes]:
    from neurode.report import encode_png

    pictures = {f"{stem}.png": encode_png(figure) for stem, figure in found.figures.items()}
    return pictures | {name: place.read_bytes() for name, place in found.files.items()}


def _typed() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
