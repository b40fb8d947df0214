"""The user's problem, as all measurements want it: in its own precision and in double."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..core.solution import Solution
from ..core.trees import is_differentiable, tree_map
from ..ivp import solve
from ..solvers.solver import Solver

_LARGEST_IMPLICIT = 128


@dataclass(frozen=True, eq=False)
class Case:
    """An initial value problem and how its user solves it."""

    f: Callable
    y0: Any
    ts: Any
    args: tuple
    solver: Solver
    rtol: float
    atol: float
    options: dict[str, Any]
    """Of `solve`: stepsize, max_steps."""

    @property
    def span(self) -> float:
        """The length of the interval."""
        return float(abs(self.ts[-1] - self.ts[0]))

    @property
    def size(self) -> int:
        """How many numbers the state has."""
        return sum(np.size(x) for x in jax.tree_util.tree_leaves(self.y0))

    @property
    def suits_implicit(self) -> bool:
        """Whether an implicit method can take it: a real state, and a Jacobian of some size."""
        leaves = jax.tree_util.tree_leaves(self.y0)
        return self.size <= _LARGEST_IMPLICIT and not any(map(jnp.iscomplexobj, leaves))

    @property
    def eps(self) -> float:
        """The coarsest relative spacing of the state's numbers."""
        return max(float(jnp.finfo(x.dtype).eps) for x in jax.tree_util.tree_leaves(self.y0))

    def solve(self, ts: Any = None, y0: Any = None, **options: Any) -> Solution:
        """Solve as the user does, but for these options; never raises for a failed solve."""
        given: dict[str, Any] = {
            "solver": self.solver,
            "rtol": self.rtol,
            "atol": self.atol,
        } | self.options
        given |= {"throw": False} | options
        return solve(
            self.f, self.y0 if y0 is None else y0, self.ts if ts is None else ts, self.args,
            **given,
        )  # fmt: skip

    def in_double(self) -> "Case":
        """The problem with all its numbers in double precision; for use in an x64 context."""

        def widen(x):
            if not eqx.is_array(x) or not is_differentiable(x):
                return x
            wide = jnp.complex128 if jnp.iscomplexobj(x) else jnp.float64
            return jnp.asarray(x, wide)

        f = tree_map(widen, self.f) if isinstance(self.f, eqx.Module) else self.f
        return replace(
            self, f=f, y0=tree_map(widen, self.y0), args=tree_map(widen, self.args),
            ts=np.asarray(self.ts, float),
        )  # fmt: skip

    def slope(self, t: Any, y: jax.Array) -> jax.Array:
        """f as a function of real vectors."""
        flat, unflatten = flatten_real(self.y0)
        del flat
        return flatten_real(self.f(t, unflatten(y), *self.args))[0]


def flatten_real(tree: Any) -> tuple[jax.Array, Callable]:
    """A pytree of real and complex arrays as one real vector, and the way back."""
    kinds = tree_map(jnp.iscomplexobj, tree)

    def split(x):
        return jnp.stack([x.real, x.imag]) if jnp.iscomplexobj(x) else jnp.asarray(x)

    flat, unflatten = ravel_pytree(tree_map(split, tree))

    def join(x, is_complex):
        return jax.lax.complex(x[0], x[1]) if is_complex else x

    return flat, lambda v: tree_map(join, unflatten(v), kinds)


def flat_rows(ys: Any) -> np.ndarray:
    """Rows of states as a real matrix [n, size]."""
    return np.asarray(jax.vmap(lambda y: flatten_real(y)[0])(ys), float)


def stopwatch(run: Callable[[], Any], repeats: int = 3) -> tuple[Any, float]:
    """What a function returns, and the seconds of the fastest call after the first."""
    result = jax.block_until_ready(run())
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = jax.block_until_ready(run())
        best = min(best, time.perf_counter() - start)
        if best > 1.0:
            break
    return result, best
