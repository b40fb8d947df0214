"""After an attempted step: whether it counts, and what the next one starts with."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.clock import resolution
from ..core.status import Status
from ..core.trees import add, all_finite, scale, select
from ..core.types import Scalar
from ..solvers.solver import Step, Verdict
from .problem import Problem


class Judged(NamedTuple):
    """What follows from an attempted step."""

    accept: jax.Array
    next_step: Scalar
    """The (positive) size of the next step."""
    controller_state: Any
    status: jax.Array
    verdict: Verdict


def judge(
    problem: Problem, carry: Any, step: Step, h: Scalar, was_accepted: jax.Array | None
) -> Judged:
    """Whether to accept a step of (positive) size h, and how to go on.

    Args:
        problem: with the solver and the controller that decide.
        carry: of the loop, before the step.
        step: as the solver took it.
        h: its size.
        was_accepted: whether it was accepted, when it is taken again.
    """
    solver, controller = problem.solver, problem.controller
    norm = problem.error_norm(carry.y, step.y)
    if not controller.adaptive:
        is_finite = all_finite(step.y)
        decision = controller.decide(jnp.zeros_like(h), carry.h, 1, carry.controller_state)
        status = jnp.where(is_finite, carry.status, _reason(step))
        verdict = Verdict(jnp.zeros_like(h), 1, step.state, step.retry)
        if solver.error_order is not None:  # it may still choose its order
            verdict = solver.judge(step, norm)
        return Judged(is_finite, decision.next_step, decision.state, status, verdict)
    # 0 * y is NaN where the new state is not finite: no further pass over y is needed.
    spoiled = tuple(add(error, scale(0, step.y)) for error in step.errors)
    verdict = solver.judge(step._replace(errors=spoiled), norm)
    error = verdict.error
    if was_accepted is not None:
        # Another program rounds differently; near 1 that must not turn the verdict.
        above = 1 + jnp.finfo(error.dtype).eps
        error = jnp.where(was_accepted, jnp.minimum(error, 1), jnp.maximum(error, above))
    decision = controller.decide(error, h, verdict.order, carry.controller_state)
    next_step = decision.next_step
    if verdict.growth is not None:
        next_step = controller.limits.clamp(h * verdict.growth.astype(h.dtype))
    # Against a wall of NaN, steps below the time's own precision lead nowhere.
    t = carry.clock.hi
    wall = jnp.where(jnp.isfinite(error), 0, jnp.finfo(t.dtype).eps * jnp.abs(t))
    is_stuck = ~decision.accept & (next_step < jnp.maximum(resolution(t), wall))
    is_stuck = is_stuck | (~decision.accept & controller.limits.is_smallest(h))
    reason = jnp.where(jnp.isfinite(error), Status.STEP_UNDERFLOW, _reason(step))
    status = jnp.where(is_stuck, reason, carry.status)
    return Judged(decision.accept, next_step, decision.state, status, verdict)


def solver_state(old: Any, verdict: Verdict, accept: jax.Array, alive: jax.Array) -> Any:
    """What the solver goes on with, after an accepted or a rejected step."""
    if verdict.retry is not None:
        old = select(alive, verdict.retry, old)
    return select(accept, verdict.state, old)


def _reason(step: Step) -> jax.Array:
    """Why a step is not finite."""
    if step.is_unsolved is None:
        return jnp.asarray(Status.NON_FINITE)
    return jnp.where(step.is_unsolved, Status.UNSOLVED_STAGE, Status.NON_FINITE)
