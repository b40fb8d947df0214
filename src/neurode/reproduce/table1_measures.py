"""What the rows of Table 1 cost: memory and time of a training step, where the time goes, latency.

The paper's columns are asymptotic only; these are measured.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neurode.models import ODENet, odenet
from neurode.models.baselines import ResNet

_FEWER = 16  # times less room for steps, to see what more room costs
_REPEATS = 5  # of which the fastest counts: other processes only ever add
_CALLS = 10  # evaluations of the field in one timed program


def measure_costs(model: Any, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Measure a network on a batch of training.

    Args:
        model: a row's network.
        images: a batch in [0, 1], [n, h, w].
        labels: [n].

    Returns:
        "train_memory_mb" (compiled temporaries and outputs of the gradient of a batch),
        "latency_ms_1", "latency_ms_128" (one image, and the whole batch), for all but the MLPs
        "memory_growth_kb" (what one more evaluation of f, or residual block, adds to that memory),
        and for an ODE "share_inside_f".
    """
    batch = jnp.asarray(images), jnp.asarray(labels)
    gradient = compile_step(model, batch)
    costs = measure_memory(model, batch, gradient) | {
        "latency_ms_1": 1e3 * time_best(lambda: apply(model, batch[0][:1])),
        "latency_ms_128": 1e3 * time_best(lambda: apply(model, batch[0])),
    }
    if isinstance(model, ODENet):
        costs["share_inside_f"] = measure_share(model, batch, gradient)
    return costs


def compile_step(model: Any, batch: Any) -> Any:
    """(model, batch) -> ((loss, metrics), cotangents of (model, probe)), compiled for these."""
    return _differentiate.lower(model, batch).compile()


def measure_memory(model: Any, batch: Any, gradient: Any) -> dict[str, float]:
    """Memory of a training step, and what one more evaluation of f, or block, adds to it.

    Args:
        model: a row's network.
        batch: images and labels.
        gradient: from `compile_step`.
    """
    memory = _count_bytes(gradient)
    costs = {"train_memory_mb": memory / 1e6}
    if isinstance(model, ODENet | ResNet):
        shorter, evaluations = _shorten(model)
        fewer = _count_bytes(compile_step(shorter, batch))
        costs["memory_growth_kb"] = (memory - fewer) / evaluations / 1e3
    return costs


def time_best(run: Callable[[], Any]) -> float:
    """Seconds of a call after the first, which compiles: the least of a few."""
    jax.block_until_ready(run())
    took = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(run())
        took.append(time.perf_counter() - began)
    return min(took)


def _count_bytes(compiled: Any) -> int:
    """Temporaries and outputs of a compiled program."""
    memory = compiled.compiled.memory_analysis()
    return memory.temp_size_in_bytes + memory.output_size_in_bytes


def _shorten(model: ODENet | ResNet) -> tuple[ODENet | ResNet, int]:
    """The same network with room for fewer evaluations of f, or with one residual block less.

    Returns:
        The network, and how many evaluations fewer, or one.
    """
    if isinstance(model, ResNet):
        return eqx.tree_at(lambda net: net.blocks, model, model.blocks[:-1]), 1
    block = model.block
    fewer = max(1, block.max_steps // _FEWER)
    shorter = dataclasses.replace(block, max_steps=fewer)
    evaluations = (block.max_steps - fewer) * block.solver.evaluations.step
    return eqx.tree_at(lambda net: net.block, model, shorter), evaluations


def measure_share(model: ODENet, batch: Any, gradient: Any) -> float:
    """The share of a training step spent on f forwards and on f with its vjp backwards."""
    x = eqx.filter_jit(model.lift)(batch[0])
    (_, metrics), nfe_backward = gradient(model, batch)[0], gradient(model, batch)[1][1]
    forward = time_best(lambda: _evaluate(model.block.field, x)) / _CALLS
    backward = time_best(lambda: _pull_back(model.block.field, x)) / _CALLS
    whole = time_best(lambda: gradient(model, batch))
    inside = float(metrics["nfe_forward"]) * forward + float(nfe_backward) * backward
    return min(inside / whole, 1.0)


@eqx.filter_jit
def _differentiate(model: Any, batch: Any) -> Any:
    def loss(pair):
        model, probe = pair
        return odenet.objective(model, batch, jax.random.key(0), probe)

    return eqx.filter_value_and_grad(loss, has_aux=True)((model, jnp.zeros(())))


@eqx.filter_jit
def apply(model: Any, images: Any) -> Any:
    """The logits of a row's network."""
    return model(images)[0]


@eqx.filter_jit
def _evaluate(field: Any, x: Any) -> Any:
    # A loop, as in a solve; its result feeds the next turn, so that none is left out.
    return jax.lax.fori_loop(0, _CALLS, lambda i, x: x + 1e-3 * field(i / _CALLS, x), x)


@eqx.filter_jit
def _pull_back(field: Any, x: Any) -> Any:
    def turn(i, a):
        arrays, rest = eqx.partition(field, eqx.is_inexact_array)
        _, pull = jax.vjp(lambda arrays, x: eqx.combine(arrays, rest)(i / _CALLS, x), arrays, a)
        weights, state = pull(a)
        return a + 1e-3 * state + 1e-6 * sum(w.sum() for w in jax.tree.leaves(weights))

    return jax.lax.fori_loop(0, _CALLS, turn, x)
