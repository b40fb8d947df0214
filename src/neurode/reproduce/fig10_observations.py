"""Figure 10: reconstruction and extrapolation as the number of observations grows."""

from pathlib import Path
from typing import Any

import numpy as np

from neurode.report import Curve, Panel, Points, draw_panels
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.spiral_weights import obtain_models
from neurode.reproduce.spirals import WINDOW, Config, forecast_latent, make_task, rmse
from neurode.reproduce.table2_spirals import QUICK

__all__ = ["QUICK", "Config", "name_run", "run"]

COUNT = 30  # observations that the model was trained with
SHOWN = (10, 30, 50, 100)


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
    model, rows = found.models[0], slice(config.trained, None)
    trained = make_task(config, config.seed, COUNT)
    panels, values = [], {}
    for shown in SHOWN:
        task = make_task(config, config.seed, shown)._replace(
            centre=trained.centre, scale=trained.scale
        )
        paths = forecast_latent(model, task, rows)
        clean = task.spirals.clean[rows]
        for metric, part in (("rmse_inside", slice(WINDOW)), ("rmse_beyond", slice(WINDOW, None))):
            error = rmse(paths[:, part], clean[:, part])
            values[f"{shown} observations", metric] = Value(error)
        for i in range(2):  # one of each direction
            seen = task.spirals.noisy[config.trained + i, task.observed[config.trained + i]]
            curves = [
                Curve(*clean[i].T, "truth", "truth"),  # pyright: ignore[reportCallIssue]
                Curve(*paths[i, :WINDOW].T, "window", "model"),  # pyright: ignore[reportCallIssue]
                Curve(*paths[i, WINDOW - 1 :].T, "beyond", "second"),  # pyright: ignore[reportCallIssue]
            ]
            points = [Points(*np.asarray(seen).T, "observations")]  # pyright: ignore[reportCallIssue]
            panels.append(Panel(f"{shown} observations", curves, points))
    return Findings(
        values=values,
        figures={"figure": draw_panels(panels, panel_height=2.1)},
        complete=found.from_table2 or config == Config(seed=config.seed),
        interrupted=False,
        seeds=(config.seed,),
        seconds=found.seconds,
    )
