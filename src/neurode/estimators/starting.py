"""Where a search for parameters begins: given values, matched ones, and many around them."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from neurode.data import SeriesBatch
from neurode.models import ParameterSpace, SolveOptions

_LANES = 32  # starts of a matching, which are cheap
_WIDE = 2.0  # standard deviation of the free numbers of these
_NEAR_TOLERANCE = 1e-5
_NEAR_ITERATIONS = 30
_NEAR_ENOUGH = 1e-2  # nats: within 0.14 standard errors of the best
_AROUND = 1.0  # and of the starts around a given one: a factor e for a positive parameter


def read_start(
    parameters: Mapping[str, Any], bounds: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, float], list[str]]:
    """A value inside its bounds for each parameter, and the names of those that had none."""
    start, missing = {}, []
    for name, value in parameters.items():
        if value is not None:
            start[name] = float(value)
            continue
        missing.append(name)
        lower, upper = bounds.get(name, (-np.inf, np.inf))
        if np.isfinite(lower) and np.isfinite(upper):
            start[name] = (lower + upper) / 2
        elif np.isfinite(lower):
            start[name] = lower + 1.0
        else:
            start[name] = upper - 1.0 if np.isfinite(upper) else 1.0
    return start, missing


def scatter(
    space: ParameterSpace, start: Mapping[str, float], names: list[str], key: Key[Array, ""]
) -> Float[Array, "m k"]:
    """Starts of a matching: the given one, and many in which the named parameters lie anywhere."""
    free = jnp.asarray(space.free(start.values()))
    moves = _WIDE * jax.random.normal(key, (_LANES, free.size), free.dtype)
    is_open = jnp.asarray([name in names for name in space.names])
    return free + jnp.where(is_open, moves, 0).at[0].set(0)


def surround(free: Float[Array, "g k"], count: int, key: Key[Array, ""]) -> Float[Array, "m k"]:
    """Starts of a shooting: the g given ones first, as far as there is room, then others nearby."""
    given = free[jnp.arange(count) % len(free)]
    moves = _AROUND * jax.random.normal(key, given.shape, free.dtype)
    return given + jnp.where(jnp.arange(count)[:, None] < len(free), 0, moves)


def cut_series(series: SeriesBatch, segments: int | None) -> SeriesBatch:
    """Trajectories cut into segments that share the observation between two of them.

    Args:
        series: what was observed.
        segments: of each trajectory; None is one for about every eight times.
    """
    parts = []
    for i in range(len(series)):
        ts, ys = series.unpad(i)
        count = max(1, (len(ts) - 1) // 8) if segments is None else segments
        edges = np.unique(np.linspace(0, len(ts) - 1, min(count, len(ts) - 1) + 1).round())
        for a, b in zip(edges[:-1].astype(int), edges[1:].astype(int), strict=True):
            part = ys[a : b + 1]
            if np.isfinite(part).any():
                parts.append((ts[a : b + 1], part))
    return SeriesBatch.from_list(parts, names=series.names)


class Effort(NamedTuple):
    """How hard a search tries.

    Attributes:
        options: how trajectories are solved.
        max_iterations: steps at most.
        enough: nats; with no more to gain, one further step ends it.
    """

    options: SolveOptions
    max_iterations: int
    enough: float


def spare(options: SolveOptions, max_iterations: int, segments: int) -> Effort:
    """The effort that a search over segments is worth, as it only has to lead near.

    A trial that cannot be solved costs its whole budget of steps. A segment gets twice its share
    of what a trajectory may take, less what a looser tolerance saves: steps grow with its root of
    the order.

    Args:
        options: how whole trajectories will be solved.
        max_iterations: steps of their search at most.
        segments: of each trajectory.
    """
    rtol, atol = (max(tolerance, _NEAR_TOLERANCE) for tolerance in (options.rtol, options.atol))
    order = options.solver.error_order or 1
    saved = min(rtol / max(options.rtol, 1e-16), atol / max(options.atol, 1e-16)) ** (1 / order)
    most = math.ceil(2 * options.max_steps / segments / saved)
    brief = replace(options, rtol=rtol, atol=atol, max_steps=min(most, options.max_steps))
    return Effort(brief, min(max_iterations, _NEAR_ITERATIONS), _NEAR_ENOUGH)
