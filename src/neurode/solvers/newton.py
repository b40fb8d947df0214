"""Simplified Newton iteration for one implicit stage, and the stage's exact derivative."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ..core.lanes import while_any
from ..core.trees import select
from ..core.types import Scalar
from .implicit import Flat
from .jacobians import Jacobian, Operator

MAX_ITERATIONS = 10
SMALL = 1e-2
"""Newton stops when the error that it leaves is this part of the tolerance."""


class Newton(NamedTuple):
    """Where an iteration is, and how it went."""

    slope: jax.Array
    count: jax.Array
    size: Scalar
    """Scaled norm of the last change."""
    rate: Scalar
    """The last change over the one before."""
    is_solved: jax.Array
    is_lost: jax.Array


class Stage(NamedTuple):
    """A solved stage."""

    slope: jax.Array
    """k = f(t, base + c k)."""
    evals: jax.Array
    rate: Scalar
    is_solved: jax.Array


def iterate(
    residual: Operator,
    solve: Operator,
    measure: Callable[[jax.Array], Scalar],
    floor: Scalar,
    guess: jax.Array,
    rate: Scalar,
    max_iterations: int = MAX_ITERATIONS,
    small: Scalar | float = SMALL,
) -> Newton:
    """k with residual(k) = 0; a lane that is done stays as it is.

    Stops as Hairer & Wanner (1996), IV.8, eq. 8.10: when the error left by a linear convergence
    with the observed rate is small beside the tolerance.

    Args:
        residual: of the slopes k, such as f(t, base + c k) - k.
        solve: b -> -R^-1 b, with R near the residual's derivative.
        measure: the size of a change of k, 1 at the tolerance.
        floor: changes up to this size are rounding.
        guess: where to start.
        rate: a rate of convergence observed earlier, for the first iteration.
        max_iterations: when to give up.
        small: the part of the tolerance that the remaining error may have.
    """

    def is_active(state: Newton) -> jax.Array:
        return ~state.is_solved & ~state.is_lost

    def body(state: Newton) -> Newton:
        change = solve(residual(state.slope))
        size = measure(change)
        first = state.count == 0
        observed = size / jnp.where(state.size == 0, 1, state.size)
        rate = jnp.where(first, state.rate, observed)
        left = size * rate / jnp.maximum(1 - rate, 1e-3)
        remaining = max_iterations - 1 - state.count
        hopeless = ~first & ((rate >= 1) | (left * rate**remaining > small))
        is_solved = (left <= small) | (size <= floor)
        new = Newton(
            slope=state.slope + change,
            count=state.count + 1,
            size=size,
            rate=rate,
            is_solved=is_solved,
            is_lost=~is_solved & (hopeless | ~jnp.isfinite(size) | (remaining <= 0)),
        )
        return select(is_active(state), new, state)

    zero = jnp.zeros((), jnp.int32)
    no = jnp.asarray(False)
    start = Newton(guess, zero, jnp.zeros_like(floor), rate.astype(floor.dtype), no, no)
    return while_any(is_active, body, start)


def solve_stage(
    jacobian: Jacobian,
    factors: object,
    approximate: Operator,
    flat: Flat,
    t: Scalar,
    base: jax.Array,
    c: Scalar,
    guess: jax.Array,
    rate: Scalar,
    max_iterations: int = MAX_ITERATIONS,
    small: float = SMALL,
) -> Stage:
    """k = f(t, base + c k), differentiable: by the implicit function theorem, not the iterations.

    The derivative dk = (I - c J)^-1 df takes the Jacobian at the solution itself.

    Args:
        jacobian: how to solve linear systems.
        factors: of I - c J, for a J near that of f.
        approximate: x -> (I - c J) x, for matrix-free solves.
        flat: the problem.
        t: the stage's time.
        base: the known part of the stage's argument.
        c: h times the diagonal coefficient.
        guess: a first approximation of k.
        rate: an observed rate of convergence.
        max_iterations: when to give up.
        small: the part of the tolerance that the remaining error may have.
    """

    def residual(k):
        return flat.f(t, base + c * k) - k

    def newton(residual, guess):
        return iterate(
            residual, lambda b: jacobian.solve(factors, approximate, b),
            lambda change: flat.norm(c * change), rounding(flat), guess, rate,
            max_iterations, small,
        )  # fmt: skip

    def tangent_solve(linear, b):
        # linear(v) = -(I - c J) v, with J at the solution.
        return exact_solve(jacobian, lambda v: -linear(v), -b)

    return find_root(residual, guess, newton, tangent_solve)


def rounding(flat: Flat) -> Scalar:
    """The scaled size of a few units in the last place of the state."""
    return flat.norm(10 * jnp.finfo(flat.x.dtype).eps * flat.x)


def find_root(
    residual: Operator,
    guess: jax.Array,
    newton: Callable[[Operator, jax.Array], Newton],
    tangent_solve: Callable[[Operator, jax.Array], jax.Array],
) -> Stage:
    """The root that an iteration finds; its derivative is that of the equations.

    Args:
        residual: vanishes at the root.
        guess: where to start.
        newton: (residual, guess) -> the iteration's last state.
        tangent_solve: (linear, b) -> x with linear(x) = b, for the residual's derivative.
    """

    def solve(residual, guess):
        done = newton(residual, guess)
        # As floats: custom_root gives integers tangents of the wrong kind.
        aux = (done.count, done.rate, done.is_solved)
        return done.slope, tuple(x.astype(done.rate.dtype) for x in aux)

    guess = lax.stop_gradient(guess)
    slope, aux = lax.custom_root(residual, guess, solve, tangent_solve, has_aux=True)
    evals, rate, is_solved = lax.stop_gradient(aux)
    return Stage(slope, evals.astype(jnp.int32), rate, is_solved > 0)


def exact_solve(jacobian: Jacobian, operator: Operator, b: jax.Array) -> jax.Array:
    """x with operator(x) = b for a linear operator I - c J with J of this kind; transposable."""
    # I - operator = c J is differentiated like any field; c = 1 then.
    matrix = jacobian.evaluate(lambda t, x: x - operator(x), jnp.zeros(()), jnp.zeros_like(b))
    factors = jacobian.factorise(matrix, jnp.ones((), b.dtype))
    return jacobian.sharpened(b.dtype).differentiable_solve(factors, operator)(b)
