"""Table 2: forecasts beyond the window, of two recurrent networks and of the latent ODE."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from neurode.report import Curve, Panel, draw_panels
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.spirals import (
    KINDS,
    WINDOW,
    Config,
    Task,
    forecast_latent,
    forecast_rnn,
    make_model,
    make_task,
    rmse,
    train,
)
from neurode.store import ArchiveMismatch, load, read_metadata, save

__all__ = ["QUICK", "Config", "name_run", "run"]

QUICK = {"runs": 1, "counts": (30,), "steps": 300, "rnn_steps": 300, "series": 250, "trained": 200}
WEIGHTS = "weights.safetensors"
SWEEP = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
METRICS = ("rmse_clean", "rmse_noisy", "rmse_inside")


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
    for seed, count, kind in trainings(config):
        if progress:
            print(f"{KINDS[kind]}, {count} observations, seed {seed}", flush=True)
        here = folder / name_model(kind, count, seed)
        result = train(config, kind, seed, count, here, resume, progress)
        seconds += result.seconds
        if result.interrupted:
            return Findings({}, {}, False, True, config.seeds, seconds)
        models[name_model(kind, count, seed)] = result.model
    holds = {"experiment": "table2", "seeds": list(config.seeds), "counts": list(config.counts)}
    save(folder / WEIGHTS, models, holds)
    values, sweeps = evaluate(config, models)
    return Findings(
        values=values,
        figures={"figure": draw_sweeps(sweeps)},
        complete=config.runs >= 3,
        interrupted=False,
        seeds=config.seeds,
        seconds=seconds,
        notes=(f"RMSE of a coordinate over the {WINDOW} points beyond the window; mean ± sd",),
        files={WEIGHTS: folder / WEIGHTS},
    )


def trainings(config: Config) -> Iterator[tuple[int, int, str]]:
    """Seed, number of observations and kind of every model, the seeds last to vary."""
    for seed in config.seeds:
        for count in config.counts:
            for kind in KINDS:
                yield seed, count, kind


def name_model(kind: str, count: int, seed: int) -> str:
    """The name of a training's folder, and of its weights in the file."""
    return f"{kind}-{count}-seed{seed}"


def load_models(file: Path, config: Config, wanted: list[tuple[str, int]]) -> list[Any]:
    """Read models of the first seed out of Table 2's weights.

    Args:
        file: weights.safetensors.
        config: sizes of the models, and the seed.
        wanted: kind and number of observations of each.

    Raises:
        ArchiveError: the weights cannot be read, or are those of other models.
    """
    held = read_metadata(file)
    if held.get("experiment") != "table2" or config.seed not in held.get("seeds", ()):
        raise ArchiveMismatch(
            f"{file} holds no models of Table 2 with seed {config.seed}; run `neurode reproduce "
            "table2` first, or name the file that it wrote"
        )
    stored = replace(config, seed=held["seeds"][0], runs=len(held["seeds"]), counts=held["counts"])
    like = {
        name_model(kind, count, seed): make_model(config, kind, seed)
        for seed, count, kind in trainings(stored)
    }
    models = load(file, like)[0]
    return [models[name_model(kind, count, config.seed)] for kind, count in wanted]


class Obtained(NamedTuple):
    """Trained models, and where they came from.

    Attributes:
        models: as asked for.
        from_table2: whether they are those of Table 2.
        interrupted: whether a signal stopped their training.
        seconds: of their training.
    """

    models: list[Any]
    from_table2: bool
    interrupted: bool
    seconds: float


def obtain_models(
    config: Config,
    weights: Any,
    folder: Path,
    kinds: tuple[str, ...],
    counts: tuple[int, ...],
    resume: bool,
    progress: bool,
) -> Obtained:
    """The models of the first seed: those of Table 2 where it has been run, else trained here.

    Args:
        config: the experiment's.
        weights: the file of Table 2's weights or its folder; None is results/table2.
        folder: for the training.
        kinds: keys of `KINDS`.
        counts: numbers of observations, for each of which every kind is wanted.
        resume: go on with what the folder holds.
        progress: show it on standard error.

    Raises:
        ArchiveError: the weights cannot be read, or are those of another configuration.
    """
    wanted = [(kind, count) for count in counts for kind in kinds]
    place = Path("results/table2") if weights is None else Path(weights)
    file = place / WEIGHTS if place.suffix != ".safetensors" else place
    if weights is not None or (config == Config(seed=config.seed) and file.is_file()):
        return Obtained(load_models(file, config, wanted), True, False, 0.0)
    models, seconds = [], 0.0
    for kind, count in wanted:
        here = folder / name_model(kind, count, config.seed)
        result = train(config, kind, config.seed, count, here, resume, progress)
        seconds += result.seconds
        if result.interrupted:
            return Obtained([], False, True, seconds)
        models.append(result.model)
    return Obtained(models, False, False, seconds)


def evaluate(
    config: Config, models: dict[str, Any]
) -> tuple[dict[tuple[str, str], Value], dict[int, np.ndarray]]:
    """Test all models on the spirals they have not seen.

    Returns:
        (row, metric) -> value; and for each number of observations that latent ODEs were trained
        with, their errors beyond the window given 10, 20, ..., 100 observations, [seeds, 10].
    """
    found: dict[tuple[str, str], list[float]] = {}
    for seed, count, kind in trainings(config):
        task = make_task(config, seed, count)
        model = models[name_model(kind, count, seed)]
        for (row, metric), error in measure(config, kind, model, task, seed).items():
            found.setdefault((row.format(f"{count}/{WINDOW}"), metric), []).append(error)
    values = {
        place: Value(float(np.mean(errors)), len(errors), _spread(errors))
        for place, errors in found.items()
    }
    sweeps = {
        count: np.array([sweep(config, models, seed, count) for seed in config.seeds])
        for count in config.counts
    }
    return values, sweeps


def measure(
    config: Config, kind: str, model: Any, task: Task, seed: int
) -> dict[tuple[str, str], float]:
    """The errors of one model: (row with a place for the number of observations, metric) -> error.

    Args:
        config: the experiment's.
        kind: a key of `KINDS`.
        model: the trained model.
        task: the spirals of its seed.
        seed: of sampled initial states.
    """
    rows = slice(config.trained, None)
    clean, noisy = task.spirals.clean[rows], task.spirals.noisy[rows]
    name = f"{KINDS[kind]} {{}}"
    errors = {}

    def note(row, beyond):
        errors[row, "rmse_clean"] = rmse(beyond, clean[:, WINDOW:])
        errors[row, "rmse_noisy"] = rmse(beyond, noisy[:, WINDOW:])

    if kind == "latent":
        path = forecast_latent(model, task, rows)
        note(name, path[:, WINDOW:])
        errors[name, "rmse_inside"] = rmse(path[:, :WINDOW], clean[:, :WINDOW])
        drawn = forecast_latent(model, task, rows, key=jax.random.key(seed))
        note(f"variant: {name}, sampled z", drawn[:, WINDOW:])
        # Where the curve beyond the window lies inside no window of the training spirals.
        points = task.spirals.begins[rows, None] + np.arange(2 * WINDOW)
        is_new = points >= config.latest + WINDOW
        for label, chosen in (("seen", ~is_new), ("unseen", is_new)):
            chosen = chosen & (np.arange(2 * WINDOW) >= WINDOW)
            errors[f"variant: {name}, {label} part of the curve", "rmse_clean"] = rmse(
                path[chosen], clean[chosen]
            )
        return errors
    steps, beyond = forecast_rnn(model, task, rows)
    note(name, beyond)
    seen = np.take_along_axis(clean, task.observed[rows, 1:, None], axis=1)
    errors[name, "rmse_inside"] = rmse(steps, seen)
    if kind == "rnn-dt":
        note(f"variant: {name}, point by point", forecast_rnn(model, task, rows, pace="grid")[1])
    return errors


def sweep(config: Config, models: dict[str, Any], seed: int, count: int) -> list[float]:
    """Errors beyond the window of a latent ODE that is shown 10, 20, ..., 100 observations.

    Args:
        config: the experiment's.
        models: all of them.
        seed: which spirals and weights.
        count: how many observations it was trained with.
    """
    model, rows = models[name_model("latent", count, seed)], slice(config.trained, None)
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
