"""Where a solve meets its first event: an adaptive loop that watches signs, then a root find.

In every accepted step the event functions are evaluated on the solver's interpolant. The first
change of sign is bracketed, bisected there, and polished by Newton's method on the step itself,
taken again to end at the root: so the event is a root along the discrete solution, not along its
interpolant.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.events import Events, total_derivative
from ..core.lanes import while_any
from ..core.status import Status
from ..core.trees import select, tree_map
from ..core.types import Scalar, State
from ..solvers.interpolants import evaluate
from .joint import Carry, Loop, Taken
from .problem import Problem, Recording

_PARTS = 8
"""Into how many parts a step is cut: two crossings in different parts are both seen."""
_REFINEMENTS = 3


class Found(NamedTuple):
    """How the search ended."""

    halted: jax.Array
    """Whether it ended before t1, by an event or by an event function that is NaN."""
    fired: jax.Array
    time: Scalar
    """Of the event, or the last time reached."""
    index: jax.Array
    """Which event; -1 for none."""
    first_step: Scalar
    num_f_evals: jax.Array


class Sighting(NamedTuple):
    """What the event functions do inside a step."""

    side: jax.Array
    """[events] Their signs before the first crossing, or else at the end of the step."""
    fires: jax.Array
    crossed: jax.Array
    """[events] Which of them crossed first."""
    upper: Scalar
    """The end of the part where, as a fraction of the step."""
    is_undefined: jax.Array


class Search(NamedTuple):
    """What changes from step to step."""

    carry: Carry
    """At the beginning of the step with the event, once there is one."""
    h: Scalar
    """The (signed) size of that step; zero before."""
    sighting: Sighting


def find_event(problem: Problem, events: Events) -> Found:
    """The first event of a problem. Not differentiable."""
    finder = _Finder(problem, events)
    start = finder.start()
    search = while_any(lambda search: finder.loop.is_alive(search.carry), finder.attempt, start)
    carry, h, sighting = search
    elapsed, index = finder.locate(search)
    fired = carry.status == Status.EVENT
    return Found(
        halted=fired | (h != 0),
        fired=fired,
        time=carry.clock.hi + (carry.clock.lo + jnp.where(fired, elapsed, 0)),
        index=jnp.where(fired, index, -1).astype(jnp.int32),
        first_step=start.carry.h,
        num_f_evals=finder.loop.count_evals(carry) + 1,
    )


class _Finder:
    """The loop and the root find, bound to a problem."""

    def __init__(self, problem: Problem, events: Events):
        self.problem, self.events = problem, events
        self.loop = Loop(problem, Recording(rows=False))
        self.dtype = problem.ts.dtype

    def start(self) -> Search:
        """Before the first step: on which side of each event the solution begins.

        An event that is zero there (within what rounding leaves of a zero) has not fired: it is on
        the side that it moves to, so that a solve can begin where another was ended.
        """
        carry, problem = self.loop.start(), self.problem
        values, slopes = total_derivative(
            self.events.function, problem.field, self.loop.t0, problem.y0
        )
        shortest = jnp.minimum(carry.h, self.loop.span)
        is_on = jnp.abs(values) <= jnp.sqrt(jnp.finfo(self.dtype).eps) * shortest * jnp.abs(slopes)
        side = jnp.where(is_on, jnp.sign(self.loop.direction * slopes), jnp.sign(values))
        no = jnp.asarray(False)
        zero = jnp.zeros((), self.dtype)
        return Search(carry, zero, Sighting(side, no, jnp.zeros(side.shape, bool), zero, no))

    def attempt(self, search: Search) -> Search:
        """One step, accepted or rejected; a step with an event is left untaken."""
        old, sighting = search.carry, search.sighting
        new, taken = self.loop.advance(old, self.loop.is_alive(old))
        seen = self.look(old, taken, sighting.side)
        fires = taken.accept & seen.fires
        halts = taken.accept & (seen.fires | seen.is_undefined)
        status = jnp.where(fires, Status.EVENT, jnp.where(halts, Status.NON_FINITE, new.status))
        evals = self.problem.solver.evaluations.dense
        new = new._replace(
            clock=select(halts, old.clock, new.clock),
            y=select(halts, old.y, new.y),
            solver_state=select(halts, old.solver_state, new.solver_state),
            status=status.astype(new.status.dtype),
            extra_evals=new.extra_evals + taken.alive * evals,
        )
        h = jnp.where(halts, taken.h, search.h)
        return Search(new, h, select(taken.accept, seen, sighting))

    def look(self, old: Carry, taken: Taken, side: jax.Array) -> Sighting:
        """The signs of the event functions inside a step and at its end."""
        values = self.sample(old, taken)
        fires, upper = jnp.asarray(False), jnp.ones((), self.dtype)
        crossed = jnp.zeros(side.shape, bool)
        for part in range(_PARTS):
            now = values[part]
            here = self.events.has_crossed(side, now) & ~fires
            crosses = jnp.any(here)
            crossed = jnp.where(crosses, here, crossed)
            upper = jnp.where(crosses, (part + 1) / _PARTS, upper)
            fires = fires | crosses
            is_known = ~fires & (jnp.abs(now) > 0)
            side = jnp.where(is_known, jnp.sign(now), side)
        return Sighting(side, fires, crossed, upper, jnp.any(jnp.isnan(values)))

    def sample(self, old: Carry, taken: Taken) -> jax.Array:
        """The event functions at the end of each part of a step, [parts, events]."""
        solver = self.problem.solver
        coefficients = solver.interpolant(self.problem.field, old.clock, taken.h, old.y, taken.step)
        fractions = jnp.arange(1, _PARTS + 1).astype(self.dtype) / _PARTS

        def state(fraction):
            return evaluate(old.y, coefficients, fraction * taken.h, taken.h)

        ys = tree_map(lambda x, end: x.at[-1].set(end), jax.vmap(state)(fractions), taken.step.y)
        ts = old.clock.hi + (old.clock.lo + fractions * taken.h)
        return jax.vmap(self.events.function)(ts, ys)

    def locate(self, search: Search) -> tuple[Scalar, jax.Array]:
        """The time from the beginning of the step to the event, and which one it is."""
        carry, h, sighting = search
        step = self.take(carry, h)
        coefficients = self.problem.solver.interpolant(
            self.problem.field, carry.clock, h, carry.y, step
        )

        def crossed(fraction: Scalar) -> jax.Array:
            y = evaluate(carry.y, coefficients, fraction * h, h)
            return self.events.has_crossed(sighting.side, self.value(carry, fraction * h, y))

        def halve(_, bracket):
            lower, upper = bracket
            middle = (lower + upper) / 2
            is_past = jnp.any(crossed(middle))
            return jnp.where(is_past, lower, middle), jnp.where(is_past, middle, upper)

        bracket = (sighting.upper - 1 / _PARTS, sighting.upper)
        halvings = jnp.finfo(self.dtype).nmant + 4
        _, upper = jax.lax.fori_loop(0, halvings, halve, bracket)
        first = crossed(upper)
        index = jnp.argmax(jnp.where(jnp.any(first), first, sighting.crossed))
        return jax.lax.fori_loop(
            0, _REFINEMENTS, lambda _, s: self.refine(carry, h, index, s), upper * h
        ), index

    def refine(self, carry: Carry, h: Scalar, index: jax.Array, elapsed: Scalar) -> Scalar:
        """One iteration of Newton's method, on the step taken again to end at the root."""
        y = self.take(carry, elapsed).y
        value, slope = total_derivative(
            lambda t, y: self.events.function(t, y)[index],
            self.problem.field, carry.clock.hi + (carry.clock.lo + elapsed), y,
        )  # fmt: skip
        better = elapsed - value / jnp.where(slope == 0, 1, slope)
        is_near = jnp.abs(better - elapsed) <= jnp.abs(h) / _PARTS
        is_inside = (better * h > 0) & (jnp.abs(better) <= jnp.abs(h))
        return jnp.where(is_near & is_inside, better, elapsed)

    def take(self, carry: Carry, h: Scalar) -> Any:
        """A step of (signed) size h."""
        problem = self.problem
        return problem.solver.step(
            problem.field, carry.clock, h, carry.y, carry.solver_state, problem.step_norm(carry.y)
        )

    def value(self, carry: Carry, elapsed: Scalar, y: State) -> jax.Array:
        """The event functions, a while after the beginning of the step."""
        return self.events.function(carry.clock.hi + (carry.clock.lo + elapsed), y)
