"""Figure 8: what the RNN and the latent ODE make of 30 points, and the latent space."""

from pathlib import Path
from typing import Any

import numpy as np

from neurode.report import Curve, Panel, Points, draw_panels
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.spiral_weights import obtain_models
from neurode.reproduce.spirals import (
    WINDOW,
    Config,
    Task,
    follow_all,
    forecast_latent,
    forecast_rnn,
    make_task,
    rmse,
)
from neurode.reproduce.table2_spirals import QUICK

__all__ = ["QUICK", "Config", "name_run", "run"]

COUNT, SHOWN = 30, 3  # observed points of a spiral, and spirals of each direction


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Draw the figure from the weights of Table 2, or train them.

    Args:
        config: Table 2's; the first seed is drawn.
        folder: of the run.
        data: the folder or file of Table 2's weights; None looks in results/table2, and trains
            the two models if there are none.
        resume: go on with what the folder holds.
        progress: show it on standard error.
    """
    kinds = ("rnn-dt", "latent")
    found = obtain_models(config, data, folder, kinds, (COUNT,), resume, progress)
    if found.interrupted:
        return Findings({}, {}, False, True, (config.seed,), found.seconds)
    rnn, latent = found.models
    task, rows = make_task(config, config.seed, COUNT), slice(config.trained, None)
    inside, beyond = forecast_rnn(rnn, task, rows)
    paths = forecast_latent(latent, task, rows)
    clean = task.spirals.clean[rows]
    axis, share = separate(latent, task, rows)
    values = {
        ("RNN dt", "rmse_beyond"): Value(rmse(beyond, clean[:, WINDOW:])),
        ("Latent ODE", "rmse_beyond"): Value(rmse(paths[:, WINDOW:], clean[:, WINDOW:])),
        ("Latent ODE", "separated"): Value(100 * share, note="test spirals, by a line in z(t_0)"),
    }
    return Findings(
        values=values,
        figures={
            "figure-a-rnn": draw_paths(task, rows, inside, beyond, "RNN"),
            "figure-b-latent": draw_paths(
                task, rows, paths[:, :WINDOW], paths[:, WINDOW:], "Latent ODE"
            ),
            "figure-c-space": draw_space(latent, task, rows, axis),
        },
        complete=found.from_table2 or config == Config(seed=config.seed),
        interrupted=False,
        seeds=(config.seed,),
        seconds=found.seconds,
    )


def draw_paths(task: Task, rows: slice, inside: np.ndarray, beyond: np.ndarray, name: str) -> Any:
    """The first test spirals of each direction, with what a model makes of them."""
    spirals, first = task.spirals, rows.start
    panels = []
    for i in range(2 * SHOWN):
        clean, seen = spirals.clean[first + i], task.observed[first + i]
        way = "counter-clockwise" if spirals.directions[first + i] else "clockwise"
        noisy = spirals.noisy[first + i, seen]
        panels.append(
            Panel(
                way,
                [
                    Curve(*clean.T, "truth", "truth"),  # pyright: ignore[reportCallIssue]
                    Curve(*inside[i].T, f"{name}: window", "model"),  # pyright: ignore[reportCallIssue]
                    Curve(*beyond[i].T, f"{name}: beyond", "second"),  # pyright: ignore[reportCallIssue]
                ],
                [Points(*noisy.T, f"{COUNT} observations")],  # pyright: ignore[reportCallIssue]
            )
        )
    return draw_panels(panels, columns=2, panel_height=2.2)


def separate(latent: Any, task: Task, rows: slice) -> tuple[np.ndarray, float]:
    """The direction in latent space that tells clockwise from counter-clockwise (Fisher's).

    Returns:
        The direction [l], and the share of test spirals that it tells right.
    """
    means = follow_all(latent, task, np.zeros(1))[:, 0]
    sides = task.spirals.directions.astype(bool)
    trained = np.arange(len(means)) < rows.start
    groups = [means[trained & side] for side in (sides, ~sides)]
    within = sum(np.cov(group.T) for group in groups)
    gap = groups[0].mean(axis=0) - groups[1].mean(axis=0)
    axis = np.linalg.solve(within + 1e-6 * np.eye(len(gap)), gap)
    middle = (groups[0].mean(axis=0) + groups[1].mean(axis=0)) / 2
    right = ((means - middle) @ axis > 0) == sides
    return axis, float(right[rows].mean())


def draw_space(latent: Any, task: Task, rows: slice, axis: np.ndarray) -> Any:
    """Latent paths of the test spirals: their first two dimensions, and the ones that matter."""
    paths = follow_all(latent, task, task.spirals.ts[: WINDOW + 1 : 10])[rows]
    sides = task.spirals.directions[rows].astype(bool)
    unit = axis / np.linalg.norm(axis)
    # Across the direction that separates: the one in which the rest varies most.
    rest = paths.reshape(-1, paths.shape[-1])
    rest = rest - rest.mean(axis=0)
    rest = rest - np.outer(rest @ unit, unit)
    across = np.linalg.svd(rest, full_matrices=False)[2][0]
    panels = []
    for title, projected, labels in (
        ("first two dimensions of z", paths[..., :2], ("z 1", "z 2")),
        (
            "direction that separates, and across",
            np.stack([paths @ unit, paths @ across], axis=-1),
            ("separating direction", "principal direction across it"),
        ),
    ):
        clouds = [
            Points(*projected[side].reshape(-1, 2).T, name, role)  # pyright: ignore[reportCallIssue]
            for side, name, role in (
                (sides, "counter-clockwise", "model"),
                (~sides, "clockwise", "second"),
            )
        ]
        panels.append(Panel(title, points=clouds, x_label=labels[0], y_label=labels[1]))
    return draw_panels(panels, panel_height=3.0)
