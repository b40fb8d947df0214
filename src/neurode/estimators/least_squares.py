"""Levenberg-Marquardt for parameters that many trajectories share and numbers of each its own.

The normal equations then have the shape of an arrow: a block of the shared parameters, one small
block per trajectory, and nothing between two trajectories. Solved by the Schur complement of the
shared block, n trajectories cost n times one of them, in time and in memory (the variable
ordering of bundle adjustment; Nocedal and Wright 2006, section 10.3, for the method itself).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from neurode.models.likelihoods import GaussianNoise

MOST_ITERATIONS = 1000
"""Of one search; its records have room for no more."""

_FIRST_DAMPING = 1e-3
_LEAST_DAMPING = 1e-10
_MOST_DAMPING = 1e12
_CONVERGED = 1e-10  # nats to gain: the estimate is within 1.4e-5 standard errors of the best
_SLACK = 1e-7  # nats that adaptive steps may add by chance, hence no reason to reject a step
ENOUGH = _SLACK
"""Nats: a search that has no more to gain makes one further step and ends. With less, the noise of
adaptive steps decides which step is kept, and some searches never come to an end."""


class Residuals(NamedTuple):
    """What is wrong with the predictions, and how that changes; 0 where nothing was observed.

    Attributes:
        values: [n, T, d], NaN if a trajectory could not be solved.
        by_shared: derivatives by the shared numbers, [n, T, d, k].
        by_local: derivatives by the numbers of each trajectory, [n, T, d, q].
        num_f_evals: function evaluations it took.
    """

    values: Float[Array, "n T d"]
    by_shared: Float[Array, "n T d k"]
    by_local: Float[Array, "n T d q"]
    num_f_evals: Int[Array, ""]


class Arrow(NamedTuple):
    """A symmetric matrix of arrow shape.

    Attributes:
        shared: between shared numbers, [k, k].
        mixed: between these and the numbers of each trajectory, [n, k, q].
        local: between the numbers of each trajectory, [n, q, q].
    """

    shared: Float[Array, "k k"]
    mixed: Float[Array, "n k q"]
    local: Float[Array, "n q q"]


class Found(NamedTuple):
    """Where the search ended.

    Attributes:
        shared: the shared numbers, [k].
        local: the numbers of each trajectory, [n, q].
        residuals: residuals and derivatives there.
        loss: the negative log likelihood there.
        to_gain: nats that a further step promises.
        iterations: steps tried.
        evaluations: function evaluations at the start and at each step tried.
        losses: the mean square residual at the start and after each step tried; NaN from there.
    """

    shared: Float[Array, " k"]
    local: Float[Array, "n q"]
    residuals: Residuals
    loss: Float[Array, ""]
    to_gain: Float[Array, ""]
    iterations: Int[Array, ""]
    evaluations: Int[Array, " iterations"]
    losses: Float[Array, " iterations"]


class _State(NamedTuple):
    found: Found
    next: tuple[Float[Array, " k"], Float[Array, "n q"]]  # to be tried
    promised: Float[Array, ""]  # nats that it should gain
    damping: Float[Array, ""]
    growth: Float[Array, ""]
    done: Bool[Array, ""]


def minimise(
    residuals: Callable[[Float[Array, " k"], Float[Array, "n q"], Bool[Array, ""]], Residuals],
    noise: GaussianNoise,
    shared: Float[Array, " k"],
    local: Float[Array, "n q"],
    max_iterations: Int[Array, ""] | int,
    enough: Float[Array, ""] | float = ENOUGH,
) -> Found:
    """Maximise the likelihood of the residuals; jittable, and vmappable over data sets.

    A trial step at which a trajectory cannot be solved has residuals that are not finite: it is
    rejected like one that makes the fit worse, and a shorter one is tried.

    Args:
        residuals: of (shared, local, is_wanted), with derivatives. Many fits under vmap go on
            until the last is done; those that are done before ask for residuals that nobody looks
            at, and say so, that they need not be paid for.
        noise: their likelihood.
        shared: where to start.
        local: where to start.
        max_iterations: steps tried at most, up to `MOST_ITERATIONS`.
        enough: nats; where no more is to be gained, one further step ends the search.

    Returns:
        What was found; its loss is infinite if there are no finite residuals at the start.
    """
    # The start is the first thing tried, so that the compiled program holds one solve only.
    shapes = jax.eval_shape(residuals, shared, local, jnp.asarray(True))
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    infinite = jnp.asarray(jnp.inf, shared.dtype)
    found = Found(
        shared,
        local,
        nothing,
        loss=infinite,
        to_gain=infinite,
        iterations=jnp.asarray(-1, jnp.int32),
        evaluations=jnp.zeros((MOST_ITERATIONS + 1,), jnp.int32),
        losses=jnp.full((MOST_ITERATIONS + 1,), jnp.nan, shared.dtype),
    )
    zero, damping, growth = (jnp.asarray(x, shared.dtype) for x in (0.0, _FIRST_DAMPING, 2.0))
    start = _State(found, (shared, local), zero, damping, growth, jnp.asarray(False))

    def proceed(state):
        return ~state.done & (state.found.iterations < max_iterations)

    def advance(state):
        return _plan(noise, _try(residuals, noise, state, enough))

    return jax.lax.while_loop(proceed, advance, start).found


def _try(
    residuals: Callable, noise: GaussianNoise, state: _State, enough: Float[Array, ""] | float
) -> _State:
    """Evaluate the planned step; keep it if it is better, damp more if not."""
    found, damping, promised = state.found, state.damping, state.promised
    tried = residuals(*state.next, ~state.done)
    loss = noise.loss(tried.values)
    is_first = found.iterations < 0
    gained = found.loss - loss
    is_good = jnp.isfinite(loss) & jnp.isfinite(tried.by_shared).all()
    is_good &= jnp.isfinite(tried.by_local).all() & (gained >= 1e-4 * promised - _SLACK)

    def keep(new, old):
        return jnp.where(is_good, new, old)

    index = found.iterations + 1
    before = found.losses[jnp.maximum(index - 1, 0)]
    mean_square = jnp.sum(tried.values**2) / jnp.sum(noise.counts)
    moved = Found(
        shared=keep(state.next[0], found.shared),
        local=keep(state.next[1], found.local),
        residuals=jax.tree.map(keep, tried, found.residuals),
        loss=keep(loss, found.loss),
        to_gain=found.to_gain,
        iterations=index,
        evaluations=found.evaluations.at[index].set(tried.num_f_evals),
        losses=found.losses.at[index].set(keep(mean_square, before)),
    )
    # Nielsen's rule: Madsen, Nielsen and Tingleff (2004), algorithm 3.16. A promise too small to
    # be told from the noise of adaptive steps is taken as kept.
    ratio = jnp.where(promised < _SLACK, 1, gained / jnp.where(promised > 0, promised, 1))
    lighter = jnp.maximum(damping * jnp.clip(1 - (2 * ratio - 1) ** 3, 0.1, 2), _LEAST_DAMPING)
    lighter = jnp.where(is_first, damping, lighter)
    return state._replace(
        found=moved,
        damping=keep(lighter, damping * state.growth),
        growth=keep(2.0, 2 * state.growth),
        done=(is_first & ~is_good) | (found.to_gain < enough),
    )


def _plan(noise: GaussianNoise, state: _State) -> _State:
    """The next step to try, and whether it is worth it."""
    found, damping = state.found, state.damping
    matrix, gradient = normal_equations(found.residuals, noise.weights(found.residuals.values))
    scales = _diagonal(matrix)
    newton = solve_arrow(_damped(matrix, scales, _LEAST_DAMPING), gradient)
    to_gain = _dot(gradient, newton) / 2
    step = solve_arrow(_damped(matrix, scales, damping), gradient)
    weighed = scales[0] * step[0], scales[1] * step[1]
    return state._replace(
        found=found._replace(to_gain=to_gain),
        next=(found.shared - step[0], found.local - step[1]),
        promised=(damping * _dot(step, weighed) + _dot(step, gradient)) / 2,
        done=state.done | (to_gain < _CONVERGED) | (damping > _MOST_DAMPING),
    )


def normal_equations(
    residuals: Residuals, weights: Float[Array, " d"]
) -> tuple[Arrow, tuple[Float[Array, " k"], Float[Array, "n q"]]]:
    """J' W J, the Fisher information when W is 1 / variance, and J' W r."""
    r, by_shared, by_local = residuals.values, residuals.by_shared, residuals.by_local
    n, m, k, q = r.shape[0], r[0].size, by_shared.shape[-1], by_local.shape[-1]
    root = jnp.sqrt(weights)
    r = (r * root).reshape(n, m)
    by_shared = (by_shared * root[:, None]).reshape(n, m, k)
    by_local = (by_local * root[:, None]).reshape(n, m, q)
    matrix = Arrow(
        jnp.einsum("nmi,nmj->ij", by_shared, by_shared),
        jnp.einsum("nmi,nmj->nij", by_shared, by_local),
        jnp.einsum("nmi,nmj->nij", by_local, by_local),
    )
    gradient = jnp.einsum("nmi,nm->i", by_shared, r), jnp.einsum("nmi,nm->ni", by_local, r)
    return matrix, gradient


def solve_arrow(
    matrix: Arrow, right: tuple[Float[Array, " k"], Float[Array, "n q"]]
) -> tuple[Float[Array, " k"], Float[Array, "n q"]]:
    """The x of matrix x = right, as shared and local numbers."""
    head, tail = right
    if tail.shape[1] == 0:
        return jnp.linalg.solve(matrix.shared, head), tail
    into = jnp.linalg.solve(matrix.local, jnp.swapaxes(matrix.mixed, 1, 2))
    alone = jnp.linalg.solve(matrix.local, tail[..., None])[..., 0]
    head = head - jnp.einsum("nkq,nq->k", matrix.mixed, alone)
    head = jnp.linalg.solve(schur_complement(matrix, into), head)
    return head, alone - jnp.einsum("nqk,k->nq", into, head)


def schur_complement(matrix: Arrow, into: Float[Array, "n q k"]) -> Float[Array, "k k"]:
    """The information on the shared numbers when those of each trajectory are unknown too.

    Args:
        matrix: the whole.
        into: local^-1 mixed', for each trajectory.
    """
    return matrix.shared - jnp.einsum("nkq,nql->kl", matrix.mixed, into)


def _diagonal(matrix: Arrow) -> tuple[Array, Array]:
    """The scales of Marquardt's damping; 1 where a number has no effect at all."""
    shared = jnp.diagonal(matrix.shared)
    local = jnp.diagonal(matrix.local, axis1=1, axis2=2)
    return jnp.where(shared > 0, shared, 1), jnp.where(local > 0, local, 1)


def _damped(matrix: Arrow, scales: tuple[Array, Array], damping: Array | float) -> Arrow:
    local = matrix.local + damping * scales[1][..., None] * jnp.eye(scales[1].shape[1])
    return Arrow(matrix.shared + damping * jnp.diag(scales[0]), matrix.mixed, local)


def _dot(a: tuple[Array, Array], b: tuple[Array, Array]) -> Array:
    return jnp.sum(a[0] * b[0]) + jnp.sum(a[1] * b[1])
