"""What each training of Table 1 found, kept in its folder, and all of them as one table."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from neurode.report import Curve, Panel, draw_errors, draw_panels
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.results import describe_machine
from neurode.reproduce.table1_models import MODELS
from neurode.store import saving, write_bytes
from neurode.training import FitResult

OUTCOME = "outcome.json"
OUTCOMES = "outcomes.json"  # of all rows, kept with the results: few machines run them all
_TIMES = ("seconds_per_epoch", "latency_ms_1", "latency_ms_128")
_POINTS = 200  # of a learning curve
HEADLINES = ("odenet", "resnet")  # whose weights are kept with the results
_VARIED = ("model", "seed", "epochs")  # what may differ between the rows of one table


def write_outcome(
    folder: Path,
    config: Any,
    row: str,
    result: FitResult,
    steps_per_epoch: int,
    costs: dict[str, float],
) -> None:
    """Write what a training found into its folder.

    Args:
        folder: of the training.
        config: of the experiment.
        row: as the table names it.
        result: of `fit`.
        steps_per_epoch: to tell the final epoch.
        costs: from `measure_costs`.
    """
    history = result.history
    last = slice(-min(steps_per_epoch, len(history["step"])), None)  # the final epoch
    seconds = result.seconds - float(np.sum(history.get("evaluation/test_seconds", 0.0)))
    arrays = jax.tree.leaves(eqx.filter(result.model, eqx.is_inexact_array))
    metrics = {
        "test_error": float(history["evaluation/test_error"][-1]),
        "parameters": sum(x.size for x in arrays),
        "seconds_per_epoch": seconds / config.epochs,
        **costs,
    }
    for name in ("nfe_forward", "nfe_backward"):
        if "nfe_forward" in history:
            metrics[name] = float(np.mean(history[name][last]))
    curve = {
        "epoch": (history["evaluation/step"] / steps_per_epoch).tolist(),
        "test_error": history["evaluation/test_error"].tolist(),
        "step": _thin(history["step"]),
        "loss": _thin(history["loss"]),
    }
    if "nfe_forward" in history:
        curve |= {name: _thin(history[name]) for name in ("nfe_forward", "nfe_backward")}
    outcome = {
        "row": row,
        "config": asdict(config),
        "machine": describe_machine(),
        "seconds": result.seconds,
        "images_per_second": result.steps_done * config.batch_size / seconds,
        "metrics": metrics,
        "curve": curve,
    }
    write_bytes(folder / OUTCOME, (json.dumps(outcome, indent=2) + "\n").encode())


def restore(public: Path, folder: Path) -> None:
    """Bring what is known of other rows into a run folder, where `collect` looks for it.

    Args:
        public: results/table1.
        folder: of the run.
    """
    if (public / OUTCOMES).is_file():
        with saving(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / OUTCOMES, (public / OUTCOMES).read_bytes())


def read_outcomes(config: Any, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Row -> what is known of it, by seed: by its longest schedule, and otherwise found alike.

    Args:
        config: of the experiment; outcomes that differ in more than model, seed and epochs are
            left out.
        folder: of the run; its trainings count before what was restored of others.
    """
    wanted = json.loads(json.dumps(asdict(config)))
    here = [_read(path) for path in sorted(folder.glob(f"*/{OUTCOME}"))]
    known = _read(folder / OUTCOMES) if (folder / OUTCOMES).is_file() else []
    trained = {_identity(outcome) for outcome in here}
    found: dict[str, list[dict[str, Any]]] = {row.name: [] for row in MODELS.values()}
    for outcome in [*here, *(o for o in known if _identity(o) not in trained)]:
        config_there = outcome["config"]
        if all(config_there.get(k) == v for k, v in wanted.items() if k not in _VARIED):
            found[outcome["row"]].append(outcome)
    longest = {}
    for row, outcomes in found.items():
        most = max((o["config"]["epochs"] for o in outcomes), default=0)
        chosen = [o for o in outcomes if o["config"]["epochs"] == most]
        if chosen:
            longest[row] = sorted(chosen, key=lambda o: o["config"]["seed"])
    return longest


def find_curve(public: Path, config: Any) -> dict[str, list[float]]:
    """The learning curve of one training; empty if the folder knows none of it.

    Args:
        public: results/table1.
        config: of that training, its row as `model`.
    """
    known = _read(public / OUTCOMES) if (public / OUTCOMES).is_file() else []
    wanted = (MODELS[config.model].name, config.seed, config.epochs)
    return next((o["curve"] for o in known if _identity(o) == wanted), {})


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _identity(outcome: dict[str, Any]) -> tuple[Any, ...]:
    return outcome["row"], outcome["config"]["seed"], outcome["config"]["epochs"]


def collect(config: Any, folder: Path) -> Findings:
    """Put together what is known: means and standard deviations over the seeds.

    Times are those of the first seed: others may have run elsewhere, and beside something else.

    Args:
        config: of the experiment.
        folder: of the run.
    """
    found = read_outcomes(config, folder)
    schedules = _schedules(found)
    is_mixed = len(set(schedules.values())) > 1
    epochs = "; ".join(f"{row} {count}" for row, count in schedules.items())
    values = {}
    for row, outcomes in found.items():
        for metric in outcomes[0]["metrics"]:
            counted = outcomes[:1] if metric in _TIMES else outcomes
            numbers = [o["metrics"][metric] for o in counted if metric in o["metrics"]]
            n = len(numbers)
            mean = float(np.mean(numbers))
            sd = None
            if n > 1:  # that of equal numbers is rounding
                sd = float(np.std(numbers, ddof=1)) if len(set(numbers)) > 1 else 0.0
            count, note = schedules[row], ""
            if metric in _TIMES and is_mixed:
                note = f"on the machine of the runs of {count} epochs"
            if metric == "test_error":
                chance = 1.96 * spread(mean, config.test_images)
                note = f"± {chance:.2f} by chance (95%); {count} epoch{'s' * (count > 1)}"
            if metric == "train_memory_mb" and row == "RK-Net":
                note = f"with room for {config.max_steps} steps"
            values[row, metric] = Value(mean, n, sd, note)
    every = [o for outcomes in found.values() for o in outcomes]
    speed = "; ".join(f"{row} {o[0]['images_per_second']:.0f}" for row, o in found.items())
    missing = [row.name for row in MODELS.values() if row.name not in found]
    write_bytes(folder / OUTCOMES, (json.dumps(every) + "\n").encode())
    return Findings(
        values=values,
        figures=draw_table(found),
        complete=not missing,
        interrupted=False,
        seeds=tuple(sorted({o["config"]["seed"] for o in every})),
        seconds=sum(o["seconds"] for o in every),
        is_trial=config.validation_images > 0,
        notes=(
            f"images per second in training: {speed}",
            "memory: temporaries and outputs of the compiled training step, as the compiler counts "
            "them; its growth: with the budget of evaluations (of a ResNet: with the blocks)",
            *([f"rows differ in epochs: {epochs}"] if is_mixed else []),
            "times of rows that were run apart do not compare: `neurode reproduce costs` does",
            *([f"not run yet: {', '.join(missing)}"] if missing else []),
        ),
        files={OUTCOMES: folder / OUTCOMES} | _find_weights(folder, found),
    )


def _schedules(found: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
    """Row -> the epochs of what is told of it."""
    return {row: outcomes[0]["config"]["epochs"] for row, outcomes in found.items()}


def _find_weights(folder: Path, found: dict[str, list[dict[str, Any]]]) -> dict[str, Path]:
    """The weights of the headline rows, where the folder holds those of the table's first seed."""
    files = {}
    for model in HEADLINES:
        for outcome in found.get(MODELS[model].name, [])[:1]:
            place = folder / f"{model}-seed{outcome['config']['seed']}"
            if (place / OUTCOME).is_file() and _read(place / OUTCOME) == outcome:
                files[f"weights-{model}.safetensors"] = place / "model.safetensors"
    return files


def spread(percent: float, n: int) -> float:
    """The standard deviation of an error in percent over n images, by chance alone."""
    p = percent / 100
    return 100 * (p * (1 - p) / n) ** 0.5


def draw_table(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The errors with their spread, and the learning curves of the first seeds.

    Args:
        found: from `read_outcomes`.
    """
    rows = list(found)
    errors = [np.array([o["metrics"]["test_error"] for o in found[row]]) for row in rows]
    means = np.array([each.mean() for each in errors])
    ends = np.array([[each.min(), each.max()] for each in errors])
    schedules, names = _schedules(found), rows
    if len(set(schedules.values())) > 1:
        names = [f"{row} ({schedules[row]} epochs)" for row in rows]
    several = any(len(each) > 1 for each in errors)
    label = "test error (%)" + "; whiskers: least and greatest of the seeds" * several
    bars = draw_errors(
        names, means, error_label=label, low=ends[:, 0], high=ends[:, 1],
        roles=["model" if "ODE" in row or "RK" in row else "baseline" for row in rows],
    )  # fmt: skip
    roles = ("model", "second", "third", "fourth", "baseline")
    shown = rows if len(rows) <= len(roles) else [r for r in rows if r in _SHOWN]
    shown = sorted(shown, key=lambda row: row != "ODE-Net")  # which has the model's colour

    def curves(x, y):
        return [
            Curve(curve[x], curve[y], row, role)
            for row, role in zip(shown, roles, strict=False)
            if y in (curve := found[row][0]["curve"])
        ]

    panels = [
        Panel("cross-entropy (nats)", curves("step", "loss"), x_label="step", log_y=True),
        Panel("test error (%)", curves("epoch", "test_error"), x_label="epoch", log_y=True),
    ]
    if any("nfe_forward" in found[row][0]["curve"] for row in shown):
        forward, backward = curves("step", "nfe_forward"), curves("step", "nfe_backward")
        panels += [
            Panel("evaluations forwards", forward, x_label="step"),
            Panel("evaluations backwards", backward, x_label="step"),
        ]
    return {"figure": bars, "figure_training": draw_panels(panels)}


_SHOWN = ("MLP deskewed", "ResNet", "RK-Net", "ODE-Net", "ODE-Net Adams")


def _thin(values: np.ndarray) -> list[float]:
    """Means of up to 200 stretches, to five digits."""
    parts = np.array_split(values, min(_POINTS, len(values)))
    return [float(f"{np.nanmean(part):.5g}") for part in parts]
