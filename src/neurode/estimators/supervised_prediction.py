"""Predictions of classifiers and regressors: every row a lane, in few compiled programs."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from neurode.core.status import SolveError, Status
from neurode.estimators.padding import bucket
from neurode.gradients import Direct

_SMALLEST = 16  # rows of a program: powers of two, so that there are few
_LARGEST_ROWS, _LARGEST_IMAGES = 4096, 256


class Predicted(NamedTuple):
    """What came out of a network.

    Attributes:
        outputs: logits or standardised targets, [n, k], in the network's precision.
        nfe: evaluations of the field for each row, [n].
    """

    outputs: np.ndarray
    nfe: np.ndarray


def predict_rows(net: Any, x: np.ndarray, tolerance: float, dtype: str) -> Predicted:
    """The outputs of each row, which depend on no other row.

    Args:
        net: a `TabularODENet` or an `ODENet`.
        x: standardised, [n, d] or [n, h, w, c].
        tolerance: of the solves.
        dtype: of the network's arrays.

    Raises:
        SolveError: a row could not be solved.
    """
    forward = _without_gradient(net)

    def run(x):
        return _predict(forward, x, jnp.asarray(tolerance, dtype))

    outputs, nfe = _in_buckets(run, x, dtype)
    failed = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(failed):
        more = f" and {len(failed) - 1} others" if len(failed) > 1 else ""
        raise SolveError(
            f"row {failed[0]}{more} could not be solved with tolerance {tolerance:g} and "
            f"{net.block.max_steps} steps: take a looser tolerance or more max_steps",
            Status.MAX_STEPS,
        )
    return Predicted(outputs, nfe)


def follow_rows(
    net: Any, x: np.ndarray, depths: np.ndarray, tolerance: float, dtype: str
) -> np.ndarray:
    """The states of each row at some depths, [m, n, state] or [m, n, h, w, c].

    Args:
        net: as above.
        x: as above.
        depths: from 0 on, increasing, [m].
        tolerance: of the solves.
        dtype: of the network's arrays.
    """
    forward = _without_gradient(net)

    def run(x):
        return (_follow(forward, x, jnp.asarray(depths, dtype), jnp.asarray(tolerance, dtype)),)

    return np.moveaxis(_in_buckets(run, x, dtype)[0], 0, 1)


def _without_gradient(net: Any) -> Any:
    """Nothing is differentiated here, and rows need about as many steps as each other.

    So plain batching serves better than the engine of lanes, which compiles several widths.
    """
    return eqx.tree_at(lambda net: net.block.gradient, net, Direct())


def _in_buckets(run: Any, x: np.ndarray, dtype: str) -> list[np.ndarray]:
    """Run a compiled function on rows [n, …], filled up to a power of two; the rows that count."""
    largest = _LARGEST_ROWS if x.ndim == 2 else _LARGEST_IMAGES
    parts = []
    for first in range(0, len(x), largest):
        count = min(largest, len(x) - first)
        size = bucket(count, _SMALLEST)
        rows = first + np.minimum(np.arange(size), count - 1)
        with jax.enable_x64(dtype == "float64"):
            found = jax.device_get(run(jnp.asarray(x[rows], dtype)))
        parts.append([np.asarray(each)[:count] for each in found])
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


@eqx.filter_jit
def _predict(net: Any, x: Array, tolerance: Array) -> tuple[Array, Array]:
    def one(row):
        outputs, stats = net(row[None], tolerance=tolerance)
        return outputs[0], stats.num_f_evals

    return jax.vmap(one)(x)


@eqx.filter_jit
def _follow(net: Any, x: Array, depths: Array, tolerance: Array) -> Array:
    def one(row):
        states = net.block.follow(net.lift(row[None]), depths, tolerance=tolerance)[0]
        # A row is a batch of one; images have the batch behind their positions.
        return states[:, 0] if states.ndim == 3 else states[:, :, :, 0]

    return jax.vmap(one)(x)
