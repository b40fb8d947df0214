"""Figure 9: decoded trajectories as one dimension of the initial state varies."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from neurode.report import Curve, Panel, draw_panels
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.spiral_weights import obtain_models
from neurode.reproduce.spirals import WINDOW, Config, encode_all, follow_decoded, make_task
from neurode.reproduce.table2_spirals import QUICK

__all__ = ["QUICK", "Config", "name_run", "run"]

COUNT = 30
SHADES = ("third", "model", "baseline", "fourth", "second")  # from the least to the greatest
DEVIATIONS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""In standard deviations of the spirals' own states in that dimension."""


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Draw the figure from the weights of Table 2, or train them; see `fig8_spirals.run`."""
    found = obtain_models(config, data, folder, ("latent",), (COUNT,), resume, progress)
    if found.interrupted:
        return Findings({}, {}, False, True, (config.seed,), found.seconds)
    model = found.models[0]
    task = make_task(config, config.seed, COUNT)
    means = encode_all(model, task)
    base = means[config.trained]  # the first spiral of the test set
    spread = means[config.trained :].std(axis=0)
    panels, values = [], {}
    for j in range(means.shape[1]):
        states = np.tile(base, (len(DEVIATIONS), 1))
        states[:, j] += np.array(DEVIATIONS) * spread[j]
        paths = task.values(
            follow_decoded(model, jnp.float32(states), jnp.float32(task.spirals.ts[:WINDOW]))
        )
        curves = [
            Curve(*path.T, f"{step:+.1f} sd", role)  # pyright: ignore[reportCallIssue]
            for path, step, role in zip(paths, DEVIATIONS, SHADES, strict=True)
        ]
        panels.append(Panel(f"dimension {j + 1} of z(t_0)", curves))
        moved = np.sqrt(np.mean((paths[-1] - paths[0]) ** 2))
        values[f"dimension {j + 1}", "effect"] = Value(float(moved))
    return Findings(
        values=values,
        figures={"figure": draw_panels(panels, panel_height=2.6)},
        complete=found.from_table2 or config == Config(seed=config.seed),
        interrupted=False,
        seeds=(config.seed,),
        seconds=found.seconds,
    )
