"""Compiled JAX programs as contestants: forward solves, gradients, and the floors below them."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Contestant


def flat(tree: Any) -> np.ndarray:
    """All entries of a pytree as one vector of doubles."""
    leaves = jax.tree_util.tree_leaves(tree)
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in leaves])


def program(by: str, function: Callable, *inputs: Any) -> Contestant:
    """A function of `inputs` that returns (answer, evaluations of f), compiled."""
    compiled = jax.jit(function)

    def read(result):
        answer, evals = result
        return flat(answer), float(np.mean(np.asarray(evals)))

    return Contestant(by, lambda: jax.block_until_ready(compiled(*inputs)), read)


def forward(solve: Callable) -> Callable:
    """(y0, args) -> the rows after the first, evaluations. `solve(y0, args)` is of one system."""

    def run(y0, args):
        ys, evals = solve(y0, args)
        return ys[1:], evals

    return run


def loss(solve: Callable) -> Callable:
    """(y0, args) -> the mean square of the rows after the first, evaluations."""

    def run(y0, args):
        ys, evals = solve(y0, args)
        return jnp.mean(jnp.square(ys[1:])), evals

    return run


def gradient(run_loss: Callable) -> Callable:
    """(y0, args) -> the gradient of a loss with respect to both, evaluations."""

    def run(y0, args):
        (_, evals), slopes = jax.value_and_grad(run_loss, (0, 1), has_aux=True)(y0, args)
        return slopes, evals

    return run


def over_lanes(run: Callable) -> Callable:
    """(y0, args) with a leading axis of lanes -> the mean of `run`, evaluations by lane."""

    def mean(y0, args):
        values, evals = jax.vmap(run)(y0, args)
        return jnp.mean(values), evals

    return mean


def shared(run: Callable) -> Callable:
    """(y0 with a leading axis of lanes, args for all of them) -> the mean of `run`, evaluations."""

    def mean(y0, args):
        values, evals = jax.vmap(run, (0, None))(y0, args)
        return jnp.mean(values), evals

    return mean


def tight(peer: ModuleType, f: Callable, ts: Any, first_step: float, tolerance: float) -> Callable:
    """solve(y0, args) in double precision, for references. Call it with `enable_x64`."""

    def solve(y0, args):
        return peer.solve(
            f, y0, ts, args, tolerance=tolerance, first_step=first_step, solver="Dopri8",
        )  # fmt: skip

    return solve


def references(solve: Callable, y0: Any, args: Any, *, lanes: bool = False) -> dict:
    """The answers of `forward` and of `gradient` of `loss`, from one compiled program."""

    def loss_and_rows(y0, args):
        ys, _ = (jax.vmap(solve) if lanes else solve)(y0, args)
        rows = ys[:, 1:] if lanes else ys[1:]
        return jnp.mean(jnp.square(rows)), rows

    run = jax.jit(jax.value_and_grad(loss_and_rows, (0, 1), has_aux=True))
    (_, rows), slopes = run(y0, args)
    return {"forward": flat(rows), "gradient": flat(slopes)}


def doubled(tree: Any) -> Any:
    """A pytree of arrays in double precision."""
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), tree)


def forward_floor(f: Callable, of: Contestant, y0: Any, args: Any) -> Contestant:
    """The evaluations of f of another's solve in a loop, and nothing else: none can be faster."""

    @jax.jit
    def run(count, y, args):
        return jax.lax.fori_loop(0, count, lambda _, y: y + 1e-3 * f(0.0, y, args), y)

    return Contestant("floor", lambda: jax.block_until_ready(run(int(of.evals), y0, args)))


def gradient_floor(f: Callable, of: Contestant, y0: Any, args: Any) -> Contestant:
    """The evaluations of f of another's solve, then as many of f with its vjp, in loops."""

    @jax.jit
    def run(count, y, args):
        y = jax.lax.fori_loop(0, count, lambda _, y: y + 1e-3 * f(0.0, y, args), y)

        def step(_, carry):
            y, slopes = carry
            dy, f_vjp = jax.vjp(lambda y, args: f(0.0, y, args), y, args)
            add = lambda total, part: total + 1e-3 * part  # noqa: E731
            return add(y, dy), jax.tree.map(add, slopes, f_vjp(slopes[0]))

        zeros = jax.tree.map(jnp.zeros_like, args)
        return jax.lax.fori_loop(0, count, step, (y, (y, zeros)))

    return Contestant("floor", lambda: jax.block_until_ready(run(int(of.evals), y0, args)))
