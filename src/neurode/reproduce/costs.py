"""What the rows of Table 1 cost, side by side: time and memory, which the paper never compares.

One trained ODE-Net, its ODE solved and differentiated as each row of the table does it, beside
residual networks with the same layers around them. Every round gives each of them a turn at the
same batch, so that whatever else the machine does falls on all alike.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neurode.models import ODENet
from neurode.models.baselines import PixelMLP, ResNet
from neurode.report import draw_errors
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.table1_measures import apply, compile_step, measure_memory, measure_share
from neurode.reproduce.table1_models import MODELS, Row
from neurode.reproduce.trained_odenet import QUICK, Config, name_run, obtain_odenet

__all__ = ["QUICK", "Config", "name_run", "run"]

ROWS = {key: row for key, row in MODELS.items() if not row.deskewed}
AGAINST = "ResNet"
ROUNDS = 7


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Measure a training step and the predictions of every row, in turn.

    Args:
        config: which network.
        data: MNIST's folder, with Table 1's weights.
        folder: of the run.
        resume: go on with what the folder holds.
        progress: show it on standard error.
    """
    trained = obtain_odenet(config, data, folder, resume, progress)
    if trained.interrupted:
        return Findings({}, {}, False, True, (config.seed,), trained.seconds)
    began = time.monotonic()
    batch = jnp.asarray(trained.images), jnp.asarray(trained.labels)
    values: dict[tuple[str, str], Value] = {}
    calls: dict[tuple[str, str], Callable[[], Any]] = {}
    for row in ROWS.values():
        if progress:
            print(row.name, flush=True)
        model = make_beside(trained.model, row, batch[0].shape[1])
        step = compile_step(model, batch)
        (_, metrics), (_, nfe_backward) = step(model, batch)
        numbers = measure_memory(model, batch, step)
        if isinstance(model, ODENet):
            numbers["share_inside_f"] = measure_share(model, batch, step)
            numbers["nfe_forward"] = float(metrics["nfe_forward"])
            numbers["nfe_backward"] = float(nfe_backward)
        values |= {(row.name, metric): Value(number) for metric, number in numbers.items()}
        calls[row.name, "train_ms"] = lambda step=step, model=model: step(model, batch)
        for metric, images in (("latency_ms_1", batch[0][:1]), ("latency_ms_batch", batch[0])):
            calls[row.name, metric] = lambda model=model, images=images: apply(model, images)
    values |= compare(time_in_turn(calls, ROUNDS))
    return Findings(
        values=values,
        figures={"figure": draw(values)},
        complete=True,
        interrupted=False,
        seeds=(config.seed,),
        seconds=trained.seconds + time.monotonic() - began,
        is_trial=not config.weights,
        notes=(f"{trained.described}; medians of {ROUNDS} rounds",),
    )


def make_beside(model: ODENet, row: Row, pixels: int) -> Any:
    """The network of a row: the trained one, solved as the row says, or what stands beside it.

    Args:
        model: the trained network.
        row: of Table 1.
        pixels: height and width of the images.
    """
    key = jax.random.key(0)
    if row.blocks < 0:
        return PixelMLP(pixels * pixels, key=key)
    if row.blocks:
        channels = model.norm.scale.size
        net = ResNet(channels=channels, downsampling="none", blocks=row.blocks, key=key)
        return eqx.tree_at(lambda net: net.stem, net, model.stem)
    own = {"solver": row.solver, "stepsize": row.stepsize}
    changes = {name: value for name, value in own.items() if value is not None}
    block = dataclasses.replace(model.block, gradient=row.gradient, **changes)
    return eqx.tree_at(lambda net: net.block, model, block)


def time_in_turn(
    calls: dict[tuple[str, str], Callable[[], Any]], rounds: int
) -> dict[tuple[str, str], np.ndarray]:
    """Milliseconds of every call in every round, [rounds].

    Each turn begins with a call that is not timed: another program's turn has left the processor's
    caches and the memory that was given back to the system cold.

    Args:
        calls: what is timed.
        rounds: how often each has its turn.
    """
    took = {name: np.empty(rounds) for name in calls}
    for number in range(rounds):
        for name, call in calls.items():
            jax.block_until_ready(call())
            began = time.perf_counter()
            jax.block_until_ready(call())
            took[name][number] = 1e3 * (time.perf_counter() - began)
    return took


def compare(took: dict[tuple[str, str], np.ndarray]) -> dict[tuple[str, str], Value]:
    """The medians, and of the training step the median ratio to the residual network's."""
    values = {name: Value(float(np.median(times))) for name, times in took.items()}
    for (row, metric), times in took.items():
        if metric == "train_ms":
            low, middle, high = np.quantile(times / took[AGAINST, metric], [0.25, 0.5, 0.75])
            note = "" if row == AGAINST else f"quartiles {low:.3g} - {high:.3g}"
            values[row, "train_ratio"] = Value(float(middle), note=note)
    return values


def draw(values: dict[tuple[str, str], Value]) -> Any:
    """Time, memory and latency as bars."""
    names = [row.name for row in ROWS.values()]
    groups = {
        "train_ms": "training step (ms)",
        "train_memory_mb": "its memory (MB)",
        "latency_ms_1": "one prediction (ms)",
    }
    return draw_errors(
        names,
        [[values[name, metric].ours for metric in groups] for name in names],
        groups=tuple(groups.values()),
        roles=["model" if row.blocks == 0 else "baseline" for row in ROWS.values()],
        error_label="the same trained ODE-Net, solved and differentiated in five ways",
    )
