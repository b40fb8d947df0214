"""A solve that ends at an event, for every gradient strategy.

The event is found without derivatives. Then the strategy solves up to that time, as it would up to
any other, and the time's derivative is put on afterwards: by the implicit function theorem, where
g(t, y(t)) = 0 holds, dt = -dg / (dg/dt), with the total derivative along the solution below. (Chen,
Amos & Nickel 2021, "Learning neural event functions for ordinary differential equations".)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ..core.events import Events, blank, total_derivative
from ..core.status import Status
from ..core.trees import displace, select
from ..core.types import Scalar, State, Times, VectorField
from ..loops.events import Found, find_event
from ..loops.problem import Trajectory
from ..stepping.controller import StepController
from ..stepping.grids import StepTo
from .gradient import GradientStrategy, Inputs, Settings, make_problem


class Ended(NamedTuple):
    """A solve that an event may have ended."""

    trajectory: Trajectory
    ts: Times
    """The save times, none of them after the event."""
    time: Scalar
    y: State
    index: jax.Array


def run_to_event(
    gradient: GradientStrategy, settings: Settings, inputs: Inputs, events: Events
) -> Ended:
    """Solve until the first event, or to t1 if there is none; differentiably."""
    frozen_inputs, frozen_events = lax.stop_gradient((inputs, events))
    found = lax.stop_gradient(find_event(make_problem(settings, frozen_inputs), frozen_events))
    direction = jnp.where(inputs.ts[-1] < inputs.ts[0], -1, 1)
    is_after = found.halted & (direction * (inputs.ts - found.time) > 0)
    ts = jnp.where(is_after, found.time, inputs.ts)
    ts = ts.at[-1].set(jnp.where(found.halted, found.time, ts[-1]))
    trajectory = gradient.run(settings, _until(inputs, ts, found))
    happened = found.fired & (trajectory.status == Status.SUCCESS)
    time, y = _at_the_event(inputs, events, found, happened, trajectory)
    status = jnp.where(happened, Status.EVENT, trajectory.status)
    is_lost = found.halted & ~found.fired & (trajectory.status == Status.SUCCESS)
    trajectory = trajectory._replace(
        rows=blank(trajectory.rows, is_after),
        status=jnp.where(is_lost, Status.NON_FINITE, status).astype(trajectory.status.dtype),
        num_f_evals=trajectory.num_f_evals + found.num_f_evals,
    )
    time, y = blank((time, y), ~happened)
    return Ended(trajectory, ts, time, y, jnp.where(happened, found.index, -1))


def _until(inputs: Inputs, ts: Times, found: Found) -> Inputs:
    """The inputs of a solve that takes the steps of the search, up to the time it found."""
    controller = inputs.controller
    if controller.adaptive:
        return inputs._replace(ts=ts, first_step=found.first_step)
    return inputs._replace(ts=ts, controller=_as_grid(controller, lax.stop_gradient(inputs.ts)))


def _as_grid(controller: StepController, ts: Times) -> StepController:
    """Equal steps over the whole interval as times to step to, so that they stay where they are."""
    if controller.count is None:
        return controller
    fractions = jnp.arange(1, controller.count).astype(ts.dtype) / controller.count
    if not fractions.size:
        return StepTo(ts[-1:])
    return StepTo(ts[0] + fractions * (ts[-1] - ts[0]))


def _at_the_event(
    inputs: Inputs, events: Events, found: Found, happened: jax.Array, trajectory: Trajectory
) -> tuple[Scalar, State]:
    """The event's time and state, with their first and second derivatives.

    Two iterations of Newton's method start at the root: their values change nothing, and their
    derivatives are those of the root to second order.
    """
    # Where there is no event everything is evaluated at t0, and nothing comes of it.
    t0, y0 = lax.stop_gradient((inputs.ts[0], inputs.y0))
    t = jnp.where(happened, found.time, t0)
    y = select(happened, trajectory.y, y0)
    field = inputs.field

    def event(t, y):
        return events.function(t, y)[found.index]

    shift = jnp.zeros_like(t)
    for _ in range(2):
        value, slope = total_derivative(event, field, t + shift, _midpoint(field, t, y, shift))
        # A solution that only touches zero has an infinite derivative, not a NaN.
        least = jnp.sqrt(jnp.finfo(slope.dtype).tiny)
        shift = shift - value / jnp.where(slope == 0, least, slope)
        shift = shift - lax.stop_gradient(shift)
    time = jnp.where(happened, t + shift, inputs.ts[-1] + _trace(trajectory.y, t.dtype))
    return time, select(happened, _midpoint(field, t, y, shift), trajectory.y)


def _trace(y: State, dtype: Any) -> Scalar:
    """A zero that depends on all of the state."""
    parts = [jnp.sum(jnp.real(x)).astype(dtype) for x in jax.tree_util.tree_leaves(y)]
    total = jnp.sum(jnp.stack(parts))
    return total - lax.stop_gradient(total)


def _midpoint(field: VectorField, t: Scalar, y: State, h: Scalar) -> State:
    """The state after a time h, correct to second order in h."""
    half = displace(y, h / 2, field(t, y))
    return displace(y, h, field(t + h / 2, half))
