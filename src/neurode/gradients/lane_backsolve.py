"""`Backsolve` for many independent systems: the lanes go back from save time to save time together.

What one system does in `backsolve.py`, with one difference. The gradient of what all lanes share is
no part of any lane's state (it would be an array for each): when a step is accepted, its weights
are known, and the cotangents of all lanes at all stages are pulled back to the shared arrays at
once, one matrix product for each matrix. The gradient of what differs between lanes is a quadrature
in each lane's own state, as in one system.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.lane_calls import Lanes
from ..core.lanes_last import over_lanes
from ..core.status import Status
from ..core.trees import add, is_differentiable, select, tree_map, zero_cotangent
from ..core.types import Norm, Scalar, State
from ..loops.joint import Carry, Taken
from ..loops.lane_arrays import borrow, lanes_first, lanes_last, save_times
from ..loops.lanes import LaneEngine, LaneState
from ..loops.problem import Problem, Trajectory
from ..solvers.solver import Solver
from .adjoint import (
    Adjoint,
    Interval,
    adjoint_problem,
    interval_controller,
    time_cotangent,
)
from .gradient import (
    Inputs,
    Settings,
    any_nonzero,
    arriving_cotangent,
    find_lanes,
    instantiate,
    mark_lanes,
    solve_lanes,
    split,
    values,
    wants_times,
)
from .lane_sums import add_quadrature, spoil_lanes, sum_shared, weigh_stages
from .lane_tape import each_cotangent

Options = tuple[Settings, Solver | None, Norm | None]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def solve_lanes_back(options: Options, lanes: Lanes, tolerances: tuple, inputs: Inputs) -> Any:
    """Solve for many lanes, which `Backsolve` differentiates; everything has lanes first."""
    return solve_lanes(options[0], of_inputs(lanes, inputs), inputs)


def _forward(options: Options, lanes: Lanes, tolerances: Any, asked: Any) -> tuple:
    """As `solve_lanes_back`, of inputs that know whether they are differentiated."""
    settings, inputs = options[0], values(asked)
    found = find_lanes(settings, of_inputs(lanes, inputs), inputs)
    return mark_lanes(settings, found), (values(tolerances), inputs, found, wants_times(asked))


def _backward(options: Options, lanes: Lanes, residuals: tuple, cotangent: Trajectory) -> tuple:
    tolerances, inputs, found, with_times = residuals
    cotangent, with_times = instantiate(cotangent), with_times is not None
    backward = LaneBacksolve(options, lanes, tolerances, inputs, found, cotangent, with_times)
    return zero_cotangent(tolerances), backward.run()


solve_lanes_back.defvjp(_forward, _backward, symbolic_zeros=True)


def of_inputs(lanes: Lanes, inputs: Inputs) -> Lanes:
    """The lanes of the inputs, of lanes of (tolerances, inputs)."""
    return Lanes(lanes.size, lanes.batched[-len(jax.tree_util.tree_leaves(inputs)) :])


def with_lanes(lanes: Lanes, inputs: Inputs) -> tuple[Lanes, Inputs]:
    """The same, with a state for each lane where nothing but tolerances differs between them."""
    of_tolerances = lanes.batched[: -len(of_inputs(lanes, inputs).batched)]
    if any(of_inputs(lanes, inputs).batched):
        return lanes, inputs
    flags = tree_map(lambda _: False, inputs)
    flags = flags._replace(y0=tree_map(lambda _: True, inputs.y0))
    y0 = tree_map(lambda x: jnp.broadcast_to(x, (lanes.size, *x.shape)), inputs.y0)
    batched = (*of_tolerances, *jax.tree_util.tree_leaves(flags))
    return Lanes(lanes.size, batched), inputs._replace(y0=y0)


def pull_each_lane(
    pull: Any, options: Options, with_times: bool, lanes: Lanes, *operands: Any
) -> Inputs:
    """Cotangents of the inputs for each lane, also of those that all lanes share.

    Args:
        pull: the way back of one system.
        options: of the solve.
        with_times: whether the save times have a cotangent.
        lanes: of the operands.
        operands: tolerances, inputs, trajectory and its cotangent.
    """
    pulled = each_cotangent(partial(pull, None, *options, with_times), lanes, operands, inputs=1)
    if pulled is not None:
        return pulled
    tolerances, inputs, found, cotangent = lanes.widen(operands)
    count = len(jax.tree_util.tree_leaves((tolerances, inputs)))
    everything = Lanes(lanes.size, (True,) * count)
    back = LaneBacksolve(options, everything, tolerances, inputs, found, cotangent, with_times)
    return eqx.filter(back.run(), is_differentiable)


class _Walk(NamedTuple):
    """What is carried from save time to save time, lanes last."""

    a: State
    own: Any
    """The gradient of what the lanes' fields hold and differs between lanes."""
    shared: Any
    """The same of what they share, for all lanes together."""
    ts: jax.Array
    """[rows, lanes]"""
    h: jax.Array
    evals: jax.Array
    has_failed: jax.Array


class LaneBacksolve:
    """The way back, bound to what the forward solve kept and to the cotangents.

    Args:
        options: of the solve.
        lanes: which of the tolerances and inputs differ between lanes.
        tolerances: of the adjoint.
        inputs: of the solve; leaves that differ with a leading axis of lanes.
        found: what the forward solve found, lanes first.
        cotangent: of the trajectory, lanes first.
        wants_times: whether the save times have a cotangent; else it is left at zero.
    """

    def __init__(
        self, options: Options, lanes: Lanes, tolerances: tuple, inputs: Inputs,
        found: Trajectory, cotangent: Trajectory, wants_times: bool,
    ):  # fmt: skip
        self.settings, solver, self.norm = options
        self.solver: Any = self.settings.solver if solver is None else solver
        self.inputs, self.wants_times = inputs, wants_times
        self.size, self.n = lanes.size, inputs.ts.shape[-1]
        self.batched = of_inputs(lanes, inputs).batched
        arriving = jax.vmap(lambda found, rows: arriving_cotangent(self.settings, found, rows))
        rows_bar, last_bar, self.is_lost = arriving(found, cotangent.rows)
        last_bar = add(last_bar, cotangent.y)
        self.is_success = found.status == Status.SUCCESS
        is_idle = ~self.is_success & ~jax.vmap(any_nonzero)((rows_bar, last_bar))
        # A failed solve can only be differentiated at the rows that it reached.
        last = jnp.where(self.is_success, self.n - 1, found.rows_done - 1)
        self.last = jnp.where(is_idle, 0, last)
        self.rows_bar, self.last_bar = lanes_last(rows_bar), lanes_last(last_bar)
        self.first_h = found.next_step
        own, shared = lanes.split((tolerances, inputs))
        # Those that have no way back stand idle, as another lane.
        own = borrow(lanes_last((*own, found.rows)), self.last == 0)
        (self.own_tolerances, self.own, self.rows), (self.tolerances, self.shared) = own, shared
        self.own_parameters, self.own_rest = split(self.own.field)
        self.parameters, self.rest = split(self.shared.field)

    # -- one lane ----------------------------------------------------------------------------------

    def build(self, own: Interval, shared: Interval) -> Problem:
        """One lane's problem, from one save time back to the one before."""
        return adjoint_problem(self.settings, self.solver, self.norm, eqx.combine(own, shared))

    def nodes(self, carry: Carry, taken: Taken) -> list[tuple[Scalar, State, State]]:
        """Time, state and weighted adjoint at the stages of an accepted step.

        Of a rejected one the adjoints are zero, and the times and states are those of its
        beginning, where f is finite.
        """
        begin = carry.clock.hi, carry.y.y
        return [
            (*select(taken.accept, (t, state.y), begin), a)
            for t, state, a in weigh_stages(self.solver, carry, taken, lambda state: state.a)
        ]

    # -- all lanes ---------------------------------------------------------------------------------

    def accumulate(self, own: Interval, nodes: list, total: Any) -> Any:
        """A step's share of the gradient of what all lanes share."""

        def f(parameters, field, t, y):
            return eqx.combine(*field, parameters, self.rest)(t, y)

        return add_quadrature(total, f, self.parameters, (own.parameters, own.rest), nodes)

    def times(self, numbers: jax.Array) -> jax.Array:
        """Each lane's save time of this number, [lanes]."""
        return save_times(eqx.combine(self.own, self.shared).ts, numbers[None])[0]

    def moved(self, t: jax.Array, y: State, a: State) -> jax.Array:
        """How the loss changes when the states arrive later, [lanes]; 0 if nobody asks."""
        if not self.wants_times:
            return jnp.zeros_like(t)

        def one(field, t, y, a):
            return time_cotangent(eqx.combine(field, self.shared.field), t, y, a)

        return over_lanes(one)(self.own.field, t, y, a)

    # -- the walk ----------------------------------------------------------------------------------

    def run(self) -> Inputs:
        """Cotangents of the inputs: per lane where they differ, else summed."""
        start = _Walk(
            a=tree_map(lambda x: jnp.where(self.is_success, x, 0), self.last_bar),
            own=tree_map(jnp.zeros_like, self.own_parameters),
            shared=tree_map(jnp.zeros_like, self.parameters),
            ts=jnp.zeros((self.n, self.size), self.inputs.ts.dtype),
            h=self.first_h,
            evals=jnp.zeros(self.size, jnp.int32),
            has_failed=self.is_lost,
        )
        _, walk = jax.lax.while_loop(
            lambda state: state[0] > 0,
            lambda state: (state[0] - 1, self.go_back(*state)),
            (jnp.max(self.last), start),
        )
        return self.finish(walk)

    def go_back(self, index: jax.Array, walk: _Walk) -> _Walk:
        """From save time number `index` to the one before; lanes that are not yet there wait."""
        active = index <= self.last
        at = jnp.minimum(index, self.last)  # those that wait stand at the last row they reached
        t = self.times(at)
        t_before = jnp.where(active, self.times(at - 1), t)

        def reached(x):
            return jnp.take_along_axis(x, at.reshape(*[1] * (x.ndim - 1), -1), axis=0)[0]

        y, y_bar = tree_map(reached, self.rows), tree_map(lambda x: x[index], self.rows_bar)
        arriving = add(walk.a, y_bar)
        # For the last row `a` holds the whole cotangent: rows_bar is zero there.
        is_end = index == self.n - 1
        y_bar = tree_map(lambda whole, part: jnp.where(is_end, whole, part), arriving, y_bar)
        own, shared = self.intervals(Adjoint(y, arriving, walk.own), t, t_before, walk.h)
        has_shared = bool(jax.tree_util.tree_leaves(self.parameters))
        engine = LaneEngine(
            self.build, own, shared, self.size, quadrature=self if has_shared else None
        )
        state = engine.run(LaneState(engine.start(), None, None, walk.shared))
        carry = state.carry

        def only_active(new, old):
            return tree_map(lambda x, z: jnp.where(active, x, z), new, old)

        ts_bar = jnp.where(active, self.moved(t, y, y_bar), 0)
        return _Walk(
            a=only_active(carry.y.a, walk.a),
            own=only_active(carry.y.parameters, walk.own),
            shared=state.total,
            ts=walk.ts.at[index].add(ts_bar),
            h=jnp.where(active & (carry.num_steps > 0), carry.h, walk.h),
            evals=walk.evals + jnp.where(active, engine.count_evals(carry), 0),
            has_failed=walk.has_failed | (active & (carry.status != Status.SUCCESS)),
        )

    def intervals(
        self, y0: Adjoint, t: jax.Array, t_before: jax.Array, h: jax.Array
    ) -> tuple[Interval, Interval]:
        """What differs between the lanes' solves, and what they share."""
        own, shared = self.own.controller, self.shared.controller
        if self.inputs.controller.count is not None:
            first, last = jnp.zeros_like(self.last), jnp.full_like(self.last, self.n - 1)
            ends = self.times(first), self.times(last)

            def fit(own, *times):
                return interval_controller(eqx.combine(own, shared), *times)

            own = over_lanes(fit)(own, t, t_before, ends)
            shared = tree_map(lambda _: None, own)
        ts, (parameters, rest) = jnp.stack([t, t_before]), (self.own_parameters, self.own_rest)
        y0_shared, ts_shared, none_shared = tree_map(lambda _: None, (y0, ts, parameters))
        return Interval(
            y0, ts, parameters, rest, self.own_tolerances, self.own.tolerance, own, h
        ), Interval(
            y0_shared, ts_shared, none_shared, self.shared.field, self.tolerances,
            self.shared.tolerance, shared, None,
        )  # fmt: skip

    # -- after -------------------------------------------------------------------------------------

    def finish(self, walk: _Walk) -> Inputs:
        """The cotangents of the inputs, each with lanes first, or summed over them."""
        first = tree_map(lambda x: x[0], (self.rows, self.rows_bar))
        t0 = self.times(jnp.zeros_like(self.last))
        t0_bar = jnp.where(self.last == 0, 0, self.moved(t0, first[0], walk.a))
        result = zero_cotangent(self.inputs)
        replace = {
            "field": eqx.combine(lanes_first(walk.own), walk.shared, result.field),
            "y0": lanes_first(add(walk.a, first[1])),
            "ts": lanes_first(walk.ts.at[0].add(-t0_bar)),
        }
        if self.inputs.probe is not None:
            replace["probe"] = walk.evals.astype(self.inputs.probe.dtype)
        result = sum_shared(result._replace(**replace), self.inputs, self.batched)
        return spoil_lanes(result, self.batched, walk.has_failed)
