"""Rows carried along a fitted flow, many at a time, in few compiled programs."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from neurode.core.status import SolveError, Status
from neurode.estimators.columns import Columns
from neurode.estimators.padding import bucket
from neurode.models import Flow, SolveOptions, transport
from neurode.nn import ExactTrace, Trace

_FARTHEST = 1e30  # standard deviations; single precision ends at 3e38
_SMALLEST, _LARGEST = 16, 16_384  # rows of a program: powers of two, so that there are few


class Carried(NamedTuple):
    """Rows after the way, in double precision.

    Attributes:
        z: where they arrived, [n, d].
        change: the integral of the divergence, [n].
        log_base: the base's log-density of z, [n].
    """

    z: np.ndarray
    change: np.ndarray
    log_base: np.ndarray


def carry(
    flow: Flow,
    z: np.ndarray,
    ts: tuple[float, float],
    options: SolveOptions,
    dtype: str,
    *,
    context: np.ndarray | None = None,
    trace: Trace = ExactTrace(),  # noqa: B008
    key: Key[Array, ""] | None = None,
) -> Carried:
    """Carry rows from one end of the flow to the other.

    They go together, so that what a field makes of the time is computed once for all of them, in
    steps that are good enough for the worst of them: no row is less accurate than alone, and the
    others change it by no more than the tolerance. Where they cannot, each goes by itself.

    Args:
        flow: the flow.
        z: rows [n, d] at ts[0], finite.
        ts: (0, 1) from the base to the data, (1, 0) back.
        options: how to solve.
        dtype: of the flow's arrays.
        context: [n, c], or None.
        trace: how the divergence is computed.
        key: of an estimated trace.

    Raises:
        SolveError: a row could not be carried; the message says which and why.
    """
    parts = []
    key = jax.random.key(0) if key is None else key
    for first in range(0, len(z), _LARGEST):
        rows = slice(first, min(first + _LARGEST, len(z)))
        count = rows.stop - first
        size = bucket(count, _SMALLEST)
        filled = np.minimum(np.arange(size), count - 1)
        with jax.enable_x64(dtype == "float64"):
            given = None if context is None else jnp.asarray(context[rows][filled], dtype)
            start = jnp.asarray(z[rows][filled], dtype)
            numbers = jnp.asarray(first + filled, jnp.int32)
            what = (flow, start, given, jnp.asarray(ts, dtype), numbers, key, options, trace)
            solved, status = _carry(True, *what)
            if int(status) != Status.SUCCESS:
                solved, status = _carry(False, *what)
        _check(np.broadcast_to(np.asarray(status), size)[:count], first, options)
        parts.append(jax.tree.map(lambda x: np.asarray(x, np.float64)[:count], solved))  # noqa: B023
    if not parts:
        return Carried(z, np.zeros(0), np.zeros(0))
    return Carried(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def score_rows(
    flow: Flow,
    columns: Columns,
    x: np.ndarray,
    options: SolveOptions,
    dtype: str,
    *,
    u: Any = 0.5,
    context: np.ndarray | None = None,
    **how: Any,
) -> np.ndarray:
    """The log-density of rows in a table's own units, [n]; -inf outside its bounds.

    Args:
        flow: the flow.
        columns: between the table's units and those of the flow.
        x: rows [n, d], finite.
        options: how to solve.
        dtype: of the flow's arrays.
        u: what is added to whole numbers.
        context: [n, c], or None.
        **how: as `carry`: trace, key.

    Raises:
        SolveError: a row could not be carried.
    """
    y, slopes = columns.forward(x, u)
    # What overflows the flow's own precision has a density that underflows it.
    can_go = np.isfinite(slopes) & (np.abs(y).max(axis=1) < _FARTHEST)
    found = np.full(len(x), -np.inf)
    rows = None if context is None else context[can_go]
    back = carry(flow, y[can_go], (1.0, 0.0), options, dtype, context=rows, **how)
    found[can_go] = back.log_base + back.change + slopes[can_go]
    return found


def draw_base(flow: Flow, n: int, d: int, key: Key[Array, ""], dtype: str) -> np.ndarray:
    """Draw n rows of the base, in double precision, [n, d]."""
    with jax.enable_x64(dtype == "float64"):
        return np.asarray(flow.base.sample(key, (n, d), dtype), np.float64)


def round_trip(
    flow: Flow, y: np.ndarray, options: SolveOptions, dtype: str, context: np.ndarray | None
) -> float:
    """The largest error of rows that go to the base and back, in the flow's units."""
    z = carry(flow, y, (1.0, 0.0), options, dtype, context=context).z
    back = carry(flow, z, (0.0, 1.0), options, dtype, context=context).z
    return float(np.abs(back - y).max())


@eqx.filter_jit
def _carry(
    together: bool,
    flow: Flow,
    z: Array,
    context: Array | None,
    ts: Array,
    numbers: Array,
    key: Array,
    options: SolveOptions,
    trace: Trace,
) -> tuple[Carried, Array]:
    def move(z, context, key, norm=None):
        how = {"trace": trace, "context": context, "key": key, "norm": norm, "throw": False}
        moved = transport(flow.field, z, ts, options, **how)
        return Carried(moved.z, moved.change, flow.base.log_prob(moved.z)), moved.status  # pyright: ignore[reportArgumentType]

    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
    if together:
        return move(z, context, keys, _worst_row)
    return jax.vmap(move, (0, None if context is None else 0, 0))(z, context, keys)


def _worst_row(error: tuple[Array, Array]) -> Array:
    """The largest root mean square of a row's errors: in z, and in the log-density."""
    z, change = error
    squares = jnp.sum(z * z, axis=-1) + change * change
    return jnp.sqrt(jnp.max(squares) / (z.shape[-1] + 1))


def _check(status: np.ndarray, first: int, options: SolveOptions) -> None:
    failed = np.flatnonzero(status != Status.SUCCESS)
    if len(failed):
        kind = Status(int(status[failed[0]]))
        more = f" and {len(failed) - 1} others" if len(failed) > 1 else ""
        raise SolveError(
            f"row {first + failed[0]}{more} could not be carried along the flow with "
            f"rtol={options.rtol:g}, atol={options.atol:g} and {options.max_steps} steps "
            f"({kind.name}): {kind.sentence}",
            kind,
        )
