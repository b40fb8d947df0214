"""Table 2: forecasts beyond the window, of two recurrent networks and of the latent ODE."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neurode.report import Curve, Panel, draw_panels
from neurode.reproduce.experiment import Checked, ExperimentError, Findings, Value
from neurode.reproduce.results import METRICS
from neurode.reproduce.spiral_training import train
from neurode.reproduce.spiral_weights import (
    WEIGHTS,
    Training,
    list_trainings,
    load_models,
    save_models,
)
from neurode.reproduce.spirals import (
    KINDS,
    WINDOW,
    Config,
    Task,
    forecast_latent,
    forecast_rnn,
    make_task,
    rmse,
)

__all__ = ["QUICK", "Config", "name_run", "run"]

QUICK = {
    "runs": 1,
    "variant_runs": 0,
    "counts": (30,),
    "steps": 300,
    "rnn_steps": 300,
    "series": 250,
    "trained": 200,
}
SWEEP = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"noise{config.noise}-steps{config.steps}-seeds{config.seed}-{config.seeds[-1]}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Train every model on every number of observations with every seed, and test them all.

    Args:
        config: what to train and how.
        folder: of the run; each training has a folder of its own in it, and at the end all
            weights are in weights.safetensors.
        data: not used; the spirals are made here.
        resume: go on with what the folder holds.
        progress: show it on standard error.
    """
    del data
    models, seconds = {}, 0.0
    for one in list_trainings(config):
        if progress:
            words = [KINDS[one.kind], f"{one.count} observations", f"seed {one.seed}", one.reading]
            print(", ".join(filter(None, words)), flush=True)
        here = folder / one.name
        reading = config.read(one.reading)
        result = train(reading, one.kind, one.seed, one.count, here, resume, progress)
        seconds += result.seconds
        if result.interrupted:
            return Findings({}, {}, False, True, config.seeds, seconds)
        models[one.name] = result.model
    save_models(folder / WEIGHTS, config, models)
    sweeps = {
        count: np.array([sweep(config, models, seed, count) for seed in config.seeds])
        for count in config.counts
    }
    return Findings(
        values=evaluate(config, models),
        figures={"figure": draw_sweeps(sweeps)},
        complete=config.runs >= 3 and config.variant_runs >= 1,
        interrupted=False,
        seeds=config.seeds,
        seconds=seconds,
        notes=(f"RMSE of a coordinate over the {WINDOW} points beyond the window; mean ± sd",),
        files={WEIGHTS: folder / WEIGHTS},
    )


def check(folder: Path, data: Any) -> list[Checked]:
    """Test the weights that lie with the results once more.

    Args:
        folder: results/table2.
        data: not used.

    Raises:
        ExperimentError: there are no results.
        ArchiveError: the weights are damaged.
    """
    del data
    if not (folder / METRICS).is_file() or not (folder / WEIGHTS).is_file():
        raise ExperimentError(f"{folder} holds no {METRICS} with {WEIGHTS} to check")
    now = evaluate(*load_models(folder / WEIGHTS))
    rows = json.loads((folder / METRICS).read_text(encoding="utf-8"))["rows"]
    return [
        Checked(row["row"], row["metric"], row["ours"], now[row["row"], row["metric"]].ours)
        for row in rows
        if row["ours"] is not None
    ]


def evaluate(config: Config, models: dict[str, Any]) -> dict[tuple[str, str], Value]:
    """Test all models on the spirals they have not seen: (row, metric) -> mean over the seeds.

    Args:
        config: the experiment's.
        models: by the names of their trainings.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for one in list_trainings(config):
        for place, error in measure(config.read(one.reading), one, models[one.name]).items():
            found.setdefault(place, []).append(error)
    return {
        place: Value(float(np.mean(errors)), len(errors), _spread(errors))
        for place, errors in found.items()
    }


def measure(config: Config, one: Training, model: Any) -> dict[tuple[str, str], float]:
    """The errors of one model: (row, metric) -> error.

    Args:
        config: in the reading of the training.
        one: the training.
        model: what came of it.
    """
    task, rows = make_task(config, one.seed, one.count), slice(config.trained, None)
    clean, noisy = task.spirals.clean[rows], task.spirals.noisy[rows]
    name = f"{KINDS[one.kind]} {one.count}/{WINDOW}"
    errors = {}

    def note(row, beyond):
        errors[row, "rmse_clean"] = rmse(beyond, clean[:, WINDOW:])
        errors[row, "rmse_noisy"] = rmse(beyond, noisy[:, WINDOW:])

    if one.kind == "latent":
        path = forecast_latent(model, task, rows)
        inside, beyond = path[:, :WINDOW], path[:, WINDOW:]
        inside = rmse(inside, clean[:, :WINDOW])
    else:
        steps, beyond = forecast_rnn(model, task, rows)
        seen = np.take_along_axis(clean, task.observed[rows, 1:, None], axis=1)
        inside = rmse(steps, seen)
    if one.reading:
        note(f"variant: {name}, {one.reading}", beyond)
        return errors
    note(name, beyond)
    errors[name, "rmse_inside"] = inside
    if one.kind == "rnn-dt":
        note(f"variant: {name}, point by point", forecast_rnn(model, task, rows, pace="grid")[1])
    if one.kind == "latent":
        drawn = forecast_latent(model, task, rows, key=jax.random.key(one.seed))
        note(f"variant: {name}, sampled z", drawn[:, WINDOW:])
    for part, error in measure_parts(config, task, rows, beyond).items():
        errors[f"variant: {name}, {part} part of the curve", "rmse_clean"] = error
    return errors


def measure_parts(config: Config, task: Task, rows: slice, beyond: np.ndarray) -> dict[str, float]:
    """The error where the curve beyond a window lies in another's that was trained on, or in none.

    Args:
        config: the experiment's.
        task: the spirals.
        rows: those that are tested.
        beyond: forecasts of their points beyond the window, [n, 100, 2].
    """
    points = task.spirals.begins[rows, None] + np.arange(WINDOW, 2 * WINDOW)
    is_new, truth = points >= config.first_unseen, task.spirals.clean[rows, WINDOW:]
    parts = {"seen": ~is_new, "unseen": is_new}
    return {name: rmse(beyond[chosen], truth[chosen]) for name, chosen in parts.items()}


def sweep(config: Config, models: dict[str, Any], seed: int, count: int) -> list[float]:
    """Errors beyond the window of a latent ODE that is shown 10, 20, ..., 100 observations.

    Args:
        config: the experiment's.
        models: all of them.
        seed: which spirals and weights.
        count: how many observations it was trained with.
    """
    model, rows = models[Training("latent", count, seed).name], slice(config.trained, None)
    trained = make_task(config, seed, count)
    errors = []
    for shown in SWEEP:
        # In the units of the training, whatever is shown.
        task = make_task(config, seed, shown)._replace(centre=trained.centre, scale=trained.scale)
        beyond = forecast_latent(model, task, rows)[:, WINDOW:]
        errors.append(rmse(beyond, task.spirals.clean[rows, WINDOW:]))
    return errors


def draw_sweeps(sweeps: dict[int, np.ndarray]) -> Any:
    """Error against the number of observations, a curve for each number trained with."""
    roles = dict(zip(sweeps, ("model", "second", "third"), strict=False))
    curves = []
    for count, errors in sweeps.items():
        mean, spread = errors.mean(axis=0), errors.std(axis=0)
        band = {"low": mean - spread, "high": mean + spread} if len(errors) > 1 else {}
        curves.append(Curve(SWEEP, mean, f"trained with {count}", roles[count], **band))
    panel = Panel(
        "Latent ODE: error beyond the window (mean and sd of the seeds)",
        curves,
        x_label="observations shown",
        y_label="RMSE to the clean curve",
    )
    return draw_panels([panel], columns=1, panel_height=3.0)


def _spread(errors: list[float]) -> float | None:
    return float(np.std(errors, ddof=1)) if len(errors) > 1 else None
