"""Measured inputs as functions of time: `Interpolation`."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from .trees import is_differentiable, tree_map

_KINDS = ("linear", "cubic", "previous")


class Interpolation(eqx.Module):
    """Data as a function of time, `u(t)`: an input that drives a vector field.

    A pytree of arrays: hand it to `solve` in args, or hold it in f. Gradients flow to the values,
    and under `jax.vmap` every lane may have its own. NaN are gaps, which are interpolated over,
    each column by itself; before its first and after its last number a column is constant.

    - "linear": straight lines between the data.
    - "cubic": a cubic between each two of them, with the slope at each datum that of the parabola
      through it and its neighbours. Continuously differentiable, exact for parabolas; a datum
      changes the curve only two intervals around it.
    - "previous": each value holds until the next one, as a switch or a dose rate does; the one
      before the last up to the last time itself, so that u does not jump where the data end.

    Args:
        times: [n], increasing, n at least 2.
        values: a pytree of arrays (or lists) [n, ...].
        kind: "linear", "cubic" or "previous".
        extrapolate: whether the first and the last values hold before and after the data. Else the
            input is NaN there, and a solve that needs it fails (where it can be told beforehand,
            with an error that says so).

    Raises:
        TypeError: for values that are not numbers.
        ValueError: for times that are not increasing, values of another length, a column without
            any number, or an unknown kind.
    """

    times: jax.Array
    values: Any
    slopes: Any
    kind: str = eqx.field(static=True)
    extrapolate: bool = eqx.field(static=True)

    def __init__(self, times: Any, values: Any, kind: str = "linear", extrapolate: bool = False):
        if kind not in _KINDS:
            raise ValueError(f'kind must be "linear", "cubic" or "previous", got {kind!r}')
        times = _read_times(times)
        if not jax.tree_util.tree_leaves(values):
            raise ValueError(f"values must hold at least one array, got {values!r}")
        values = jax.tree_util.tree_map_with_path(
            lambda path, x: _read_values(jax.tree_util.keystr(path), x, times),
            values,
            is_leaf=lambda x: isinstance(x, list),  # of numbers: read as an array
        )
        leaves, treedef = jax.tree_util.tree_flatten(values)
        filled = [_fill(times, x, kind) for x in leaves]
        self.times, self.kind, self.extrapolate = times, kind, bool(extrapolate)
        self.values = treedef.unflatten([value for value, _ in filled])
        self.slopes = treedef.unflatten([slope for _, slope in filled]) if kind == "cubic" else None

    def __call__(self, t: ArrayLike) -> Any:
        """The values at a time, or at an array of times: leaves with the axes of t in front."""
        return _evaluate(self, t, 0)

    def derivative(self, t: ArrayLike) -> Any:
        """du/dt at a time, or at an array of times; from the right where it jumps."""
        return _evaluate(self, t, 1)

    @property
    def stops(self) -> dict[str, jax.Array]:
        """What a step size controller should know: `stepsize=nd.IController(**u.stops)`.

        The times at which a linear input has a kink or one of kind "previous" jumps, as `jump_at`;
        nothing for a cubic one.
        """
        return {} if self.kind == "cubic" else {"jump_at": jax.lax.stop_gradient(self.times)}

    def _place(self, t: ArrayLike) -> "_Place":
        """Where a time lies among the data."""
        times, slack = self.times, _slack(self.times, jnp.result_type(t))
        t = jnp.asarray(t, times.dtype)
        is_inside = (t >= times[0] - slack) & (t <= times[-1] + slack)
        is_known = jnp.isfinite(t) if self.extrapolate else is_inside
        is_past = t > times[-1] + slack
        t = jnp.where(t < times[0], times[0], jnp.where(t > times[-1], times[-1], t))
        index = jnp.clip(jnp.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
        width = times[index + 1] - times[index]
        return _Place(index, t - times[index], width, is_known, is_inside, is_past)

    def _curve(self, place: "_Place", order: int) -> Any:
        """The curve (order 0) or its derivative (order 1) at a place."""
        i = place.index

        def leaf(x, slopes=None):
            if self.kind == "previous":
                held = x[i + place.is_past]
                return (held, jnp.zeros_like(held))[order]
            elapsed, width = (
                s.astype(jnp.real(x).dtype).reshape(s.shape + (1,) * (x.ndim - 1))
                for s in (place.elapsed, place.width)
            )
            if slopes is None:
                secant = (x[i + 1] - x[i]) / width
                return (x[i] + elapsed * secant, secant)[order]
            return _hermite(elapsed, width, x[i], x[i + 1], slopes[i], slopes[i + 1])[order]

        rest = () if self.slopes is None else (self.slopes,)
        return tree_map(leaf, self.values, *rest)


class _Place(NamedTuple):
    """Where a time, or each of an array of times, lies among the data."""

    index: jax.Array
    """Of the interval."""
    elapsed: jax.Array
    """Time since the interval's start."""
    width: jax.Array
    is_known: jax.Array
    """Whether the input is defined there."""
    is_inside: jax.Array
    """Whether there are data on both sides."""
    is_past: jax.Array
    """Whether it lies after all of them."""


@partial(jax.jit, static_argnames="order")
def _evaluate(u: Interpolation, t: ArrayLike, order: int) -> Any:
    """The input, or its derivative: 0 where the ends are held, NaN where it is not known."""
    place = u._place(t)

    def leaf(x):
        if order:
            x = jnp.where(_under(place.is_inside, x), x, 0)
        return jnp.where(_under(place.is_known, x), x, jnp.nan)

    return tree_map(leaf, u._curve(place, order))


def check_inputs(tree: Any, ts: jax.Array) -> None:
    """Refuse a solve over ts that needs an `Interpolation` in the tree where it has no data."""
    is_input = lambda x: isinstance(x, Interpolation)  # noqa: E731
    for u in jax.tree_util.tree_leaves(tree, is_leaf=is_input):
        if not is_input(u) or u.extrapolate or any(isinstance(x, Tracer) for x in (u.times, ts)):
            continue
        first, last = map(float, np.asarray(u.times)[[0, -1]])
        low, high = sorted(map(float, np.asarray(ts)[[0, -1]]))
        slack = float(_slack(u.times, ts.dtype))
        if low < first - slack or high > last + slack:
            raise ValueError(
                f"an input (nd.Interpolation) has data from t={first:.6g} to {last:.6g}, but the "
                f"solve runs from {low:.6g} to {high:.6g}; shorten ts, or give the input "
                f"extrapolate=True to hold its first and last values"
            )


def _slack(times: jax.Array, dtype: Any) -> jax.Array:
    """How far outside the data a time may lie by rounding, on its way through a solver."""
    widths = [x for x in (times.dtype, dtype) if jnp.issubdtype(x, jnp.floating)]
    return 8 * max(float(jnp.finfo(x).eps) for x in widths) * jnp.max(jnp.abs(times))


def _read_times(times: Any) -> jax.Array:
    times = jnp.asarray(times)
    if not is_differentiable(times):
        times = times.astype(jnp.result_type(float))
    if times.ndim != 1 or times.shape[0] < 2:
        raise ValueError(f"times must be one-dimensional, at least two, got shape {times.shape}")
    if isinstance(times, Tracer):
        # Nothing can be raised now: an input without times is NaN.
        return jnp.where(jnp.all(jnp.diff(times) > 0), times, jnp.nan)
    steps = np.diff(np.asarray(times, float))
    if not (steps > 0).all():
        at = int(np.argmin(steps > 0))
        raise ValueError(
            f"times must be increasing, but times[{at}]={float(times[at]):.6g} is followed by "
            f"times[{at + 1}]={float(times[at + 1]):.6g}; sort the data, and merge rows of one time"
        )
    return times


def _read_values(path: str, values: Any, times: jax.Array) -> jax.Array:
    try:
        values = jnp.asarray(values)
    except (TypeError, ValueError) as error:
        raise TypeError(f"values{path} must be an array of numbers, got {values!r}") from error
    if not is_differentiable(values):
        values = values.astype(jnp.result_type(float))
    if values.ndim == 0 or values.shape[0] != times.shape[0]:
        raise ValueError(
            f"values{path} must have one row for each of the {times.shape[0]} times, got shape "
            f"{values.shape}"
        )
    if isinstance(values, Tracer):
        return values
    table = np.asarray(values)
    if np.isinf(table).any():
        at = tuple(map(int, np.argwhere(np.isinf(table))[0]))
        raise ValueError(f"values{path}{list(at)} is infinite; write NaN for what is not known")
    is_empty = np.isnan(table).all(axis=0)
    if is_empty.any():
        column = "".join(f", {i}" for i in np.argwhere(is_empty)[0])
        raise ValueError(f"values{path}[:{column}] holds no number at all, only NaN: leave it out")
    return values


@partial(jax.jit, static_argnames="kind")
def _fill(times: jax.Array, x: jax.Array, kind: str) -> tuple[jax.Array, Any]:
    """The values with their gaps filled as the kind asks, and the slopes of a cubic."""
    n = times.shape[0]
    is_number = ~jnp.isnan(x)
    index = jnp.arange(n).reshape(-1, *[1] * (x.ndim - 1))
    before = jax.lax.cummax(jnp.where(is_number, index, -1), axis=0)
    after = jax.lax.cummin(jnp.where(is_number, index, n), axis=0, reverse=True)
    left, right = jnp.where(before < 0, after, before), jnp.where(after >= n, before, after)
    left, right = jnp.clip(left, 0, n - 1), jnp.clip(right, 0, n - 1)

    def take(a, i):
        return jnp.take_along_axis(a, i, axis=0)

    if kind == "previous":
        return take(x, left), None
    t = times.reshape(-1, *[1] * (x.ndim - 1))
    elapsed, width = t - times[left], times[right] - times[left]
    is_gap = width > 0
    width = jnp.where(is_gap, width, 1)
    if kind == "linear":
        fraction = jnp.where(is_gap, elapsed / width, 0).astype(jnp.real(x).dtype)
        return take(x, left) + fraction * (take(x, right) - take(x, left)), None
    slopes = _slopes(times, x, before, after)
    ends = take(x, left), take(x, right), take(slopes, left), take(slopes, right)
    real = jnp.real(x).dtype
    value, slope = _hermite(elapsed.astype(real), width.astype(real), *ends)
    # Outside the numbers of a column it is constant.
    slope = jnp.where(is_gap, slope, jnp.where(is_number, slopes, 0))
    return jnp.where(is_gap, value, ends[0]), slope


def _slopes(times: jax.Array, x: jax.Array, before: jax.Array, after: jax.Array) -> jax.Array:
    """At every number the slope of the parabola through it and its neighbours in its column."""
    n = times.shape[0]
    shape = (1, *x.shape[1:])
    p = jnp.concatenate([jnp.full(shape, -1, before.dtype), before[:-1]])
    q = jnp.concatenate([after[1:], jnp.full(shape, n, after.dtype)])
    has_p, has_q = p >= 0, q < n
    p, q = jnp.clip(p, 0, n - 1), jnp.clip(q, 0, n - 1)
    t = times.reshape(-1, *[1] * (x.ndim - 1))
    real = jnp.real(x).dtype

    def take(a, i):
        return jnp.take_along_axis(a, i, axis=0)

    def secant(other, exists):
        width = jnp.where(exists, times[other] - t, 1).astype(real)
        return jnp.abs(width), jnp.where(exists, take(x, other) - x, 0) / width

    (h_p, d_p), (h_q, d_q) = secant(p, has_p), secant(q, has_q)
    inner = (h_q * d_p + h_p * d_q) / (h_p + h_q)
    # At an end, the slope of the neighbour's parabola.
    is_inner = has_p & has_q
    first = jnp.where(take(is_inner, q), 2 * d_q - take(inner, q), d_q)
    last = jnp.where(take(is_inner, p), 2 * d_p - take(inner, p), d_p)
    ends = jnp.where(has_q, first, jnp.where(has_p, last, 0))
    # Where numbers end before the data do, the curve goes over into a constant.
    is_edge = (jnp.arange(n) % (n - 1) == 0).reshape(t.shape)
    return jnp.where(is_inner, inner, jnp.where(is_edge, ends, 0))


def _hermite(elapsed, width, x0, x1, m0, m1) -> tuple[jax.Array, jax.Array]:
    """A cubic by its values and slopes at both ends of an interval, and its derivative."""
    s = elapsed / width
    secant = (x1 - x0) / width
    bend, turn = 3 * secant - 2 * m0 - m1, m0 + m1 - 2 * secant
    value = x0 + elapsed * (m0 + s * (bend + s * turn))
    return value, m0 + s * (2 * bend + 3 * s * turn)


def _under(mask: jax.Array, values: jax.Array) -> jax.Array:
    """A mask of times, shaped to stand beside values [times, ...]."""
    return mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
