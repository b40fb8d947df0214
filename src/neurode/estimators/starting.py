"""Where a search for parameters begins: given values, matched ones, and many around them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from neurode.data import SeriesBatch
from neurode.models import ParameterSpace

_LANES = 32  # starts of a matching, which are cheap
_WIDE = 2.0  # standard deviation of the free numbers of these
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
