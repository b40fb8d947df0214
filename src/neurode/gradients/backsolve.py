"""The continuous adjoint of Chen et al. (2018), in constant memory.

With a(t) = dL/dy(t), the system y' = f, a' = -a^T df/dy is solved backwards from each save time to
the one before, starting again from the stored state (paper, section 2 and appendix D). The gradient
of the parameters, the integral of a^T df/dp, is a quadrature along that solution: it rides along
with the solver's own weights, but is no part of the adjoint's stages, error norm or step sizes, so
that the step size does not depend on the number of parameters (Kidger et al. 2021 call the same
exclusion a seminorm).
"""

from collections.abc import Hashable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.lane_calls import Lanes, lane_call
from ..core.lanes import freeze, sum_like, varying_axes, while_any
from ..core.status import Status
from ..core.trees import add, is_differentiable, row, tree_map, zero_cotangent
from ..core.types import Norm, State
from ..loops.driver import integrate
from ..loops.problem import Trajectory
from ..solvers.explicit_rk import ExplicitRungeKutta
from ..solvers.solver import Solver
from ..stepping.controller import StepController
from .adjoint import (
    Adjoint,
    Interval,
    adjoint_problem,
    check_options,
    check_solver,
    interval_controller,
    time_cotangent,
)
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    any_nonzero,
    arriving_cotangent,
    find_lanes,
    instantiate,
    make_problem,
    mark_failure,
    split,
    spoil,
    values,
    wants_times,
)
from .lane_backsolve import pull_each_lane, solve_lanes_back, with_lanes


class Backsolve(GradientStrategy):
    """Solve the adjoint equation backwards in time, in constant memory.

    The gradient is that of the continuous problem: it agrees with the discrete one to about the
    tolerance, and drifts where the dynamics cannot be reversed stably (then use `Checkpointed`).

    Args:
        solver: for the adjoint; None takes the forward solve's.
        rtol: relative tolerance of the adjoint; None takes the forward solve's.
        atol: absolute tolerance of the adjoint; None takes the forward solve's.
        norm: of the scaled error (y, a) of the adjoint; None is the root mean square.
    """

    solver: Solver | None = eqx.field(static=True, default=None)
    rtol: Any = None
    atol: Any = None
    norm: Norm | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_options("Backsolve", self.solver, self.rtol, self.atol)

    def check(self, settings: Settings, controller: StepController) -> None:
        """Backsolve stores no steps, and its solver must fit the step size controller."""
        check_solver("Backsolve", self.solver, settings, controller)
        if settings.dense:
            raise ValueError(
                "gradient=Backsolve() keeps no steps and cannot differentiate dense output; "
                "use gradient=Checkpointed() or Direct() with dense=True, or name the times in ts"
            )

    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably in reverse mode."""
        # Every observation's state is needed to start from: save what is asked for afterwards.
        save, inputs = inputs.save, inputs._replace(save=None)
        tolerances = tree_map(partial(jnp.asarray, dtype=inputs.ts.dtype), (self.rtol, self.atol))
        options = settings, self.solver, self.norm
        trajectory: Trajectory = _call(_run, options, tolerances, inputs)
        if save is None:
            return trajectory
        return trajectory._replace(rows=jax.vmap(save)(inputs.ts, trajectory.rows))


class Walk(NamedTuple):
    """What is carried from interval to interval, backwards in time."""

    index: jax.Array
    a: State
    parameters: Any
    ts: jax.Array
    h: jax.Array
    evals: jax.Array
    has_failed: jax.Array


def _call(function: Any, options: tuple, *operands: Any) -> Any:
    """function(lanes, *options, *operands), which is told of lanes where it suits."""
    settings, other, norm, *_ = options
    solvers = (settings.solver, settings.solver if other is None else other)
    suits_lanes = all(isinstance(solver, ExplicitRungeKutta) for solver in solvers)
    if varying_axes(operands) or not (suits_lanes and isinstance(norm, Hashable)):
        return function(None, *options, *operands)
    return lane_call(function, options, *operands, copies=function is not _run)


def _run(lanes: Lanes | None, settings, solver, norm, tolerances: tuple, inputs: Inputs) -> Any:
    """The solve of one system, or of many lanes."""
    if lanes is None:
        return _solve(settings, solver, norm, tolerances, inputs)
    lanes, inputs = with_lanes(lanes, inputs)
    return solve_lanes_back((settings, solver, norm), lanes, tolerances, inputs), True


def _find(lanes: Lanes | None, settings, solver, norm, inputs: Inputs) -> Any:
    """The trajectory from which the way back begins, of one system or of many lanes."""
    del solver, norm
    if lanes is None:
        return integrate(make_problem(settings, inputs))
    return find_lanes(settings, lanes, inputs), True


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _solve(settings, solver, norm, tolerances, inputs: Inputs) -> Trajectory:
    del solver, norm, tolerances
    trajectory = integrate(make_problem(settings, inputs))
    return mark_failure(settings, trajectory)


def _forward(settings, solver, norm, tolerances, asked: Any) -> tuple:
    inputs = values(asked)
    trajectory = _call(_find, (settings, solver, norm), inputs)
    kept = values(tolerances), inputs, trajectory, wants_times(asked)
    return mark_failure(settings, trajectory), kept


def _backward(settings, solver, norm, residuals, cotangent: Trajectory) -> tuple:
    tolerances, inputs, found, with_times = residuals
    cotangent = eqx.filter(instantiate(cotangent), is_differentiable)
    options = settings, solver, norm, with_times is not None
    pulled = _call(_pull, options, tolerances, inputs, found, cotangent)
    return zero_cotangent(tolerances), eqx.combine(pulled, zero_cotangent(inputs))


def _pull(lanes: Lanes | None, settings, solver, norm, with_times: bool, *operands: Any) -> Any:
    """The cotangents of the inputs that have one; of each lane for itself, where it has lanes."""
    if lanes is not None:
        options = settings, solver, norm
        return pull_each_lane(_pull, options, with_times, lanes, *operands), True
    backward = _Backward(settings, solver, norm, *operands, wants_times=with_times)
    return eqx.filter(backward.run(), is_differentiable)


_solve.defvjp(_forward, _backward, symbolic_zeros=True)


class _Backward:
    """The backward solve, bound to what the forward solve kept and to the cotangents."""

    def __init__(self, settings, solver, norm, tolerances, inputs, found, cotangent, wants_times):
        self.settings, self.norm = settings, norm
        self.solver = settings.solver if solver is None else solver
        self.inputs, self.found = inputs, found
        self.ts, self.wants_times = inputs.ts, wants_times
        self.parameters, self.rest = split(inputs.field)
        self.tolerances = tolerances
        self.rows_bar, last, self.is_lost = arriving_cotangent(settings, found, cotangent.rows)
        self.last_bar = add(last, cotangent.y)

    def time_cotangent(self, t: Any, y: State, a: State) -> jax.Array:
        """a^T f(t, y): how the loss changes when the state arrives later; 0 if nobody asks."""
        if not self.wants_times:
            return jnp.zeros_like(t)
        return time_cotangent(self.inputs.field, t, y, a)

    def run(self) -> Inputs:
        """Cotangents of the inputs."""
        inputs, found, ts = self.inputs, self.found, self.ts
        is_success = found.status == Status.SUCCESS
        is_idle = ~is_success & ~any_nonzero((self.rows_bar, self.last_bar))
        # A failed solve can only be differentiated at the rows that it reached.
        last = jnp.where(is_idle, 0, jnp.where(is_success, len(ts) - 1, found.rows_done - 1))
        zero = jnp.zeros((), jnp.int32)
        start = Walk(
            index=last,
            a=tree_map(lambda x: jnp.where(is_success, x, 0), self.last_bar),
            parameters=tree_map(jnp.zeros_like, self.parameters),
            ts=jnp.zeros_like(ts),
            h=found.next_step,
            evals=zero,
            has_failed=self.is_lost,
        )
        done = while_any(lambda walk: walk.index > 0, self.interval, start)
        t0_bar = jnp.where(is_idle, 0, self.time_cotangent(ts[0], inputs.y0, done.a))
        result = zero_cotangent(inputs)
        replace = {
            "field": eqx.combine(done.parameters, result.field),
            "y0": add(done.a, row(self.rows_bar, 0)),
            "ts": done.ts.at[0].add(-t0_bar),
        }
        if inputs.probe is not None:
            replace["probe"] = done.evals.astype(inputs.probe.dtype)
        return sum_like(spoil(result._replace(**replace), done.has_failed), inputs)

    def interval(self, walk: Walk) -> Walk:
        """From one save time back to the one before; a lane that is done stays as it is."""
        is_alive = walk.index > 0
        index = jnp.maximum(walk.index, 1)
        t, t_before = self.ts[index], self.ts[index - 1]
        y, y_bar = row(self.found.rows, index), row(self.rows_bar, index)
        arriving = add(walk.a, y_bar)
        # For the last row `a` holds the whole cotangent: rows_bar is zero there.
        is_end = index == len(self.ts) - 1
        y_bar = tree_map(lambda whole, part: jnp.where(is_end, whole, part), arriving, y_bar)
        ends = self.ts[0], self.ts[-1]
        interval = Interval(
            y0=Adjoint(y, arriving, walk.parameters),
            ts=jnp.stack([t, jnp.where(is_alive, t_before, t)]),
            parameters=self.parameters,
            rest=self.rest,
            tolerances=self.tolerances,
            tolerance=self.inputs.tolerance,
            controller=interval_controller(self.inputs.controller, t, t_before, ends),
            first_step=walk.h,
        )
        solved = integrate(adjoint_problem(self.settings, self.solver, self.norm, interval))
        new = Walk(
            index=index - 1,
            a=solved.y.a,
            parameters=solved.y.parameters,
            ts=walk.ts.at[index].add(self.time_cotangent(t, y, y_bar)),
            h=jnp.where(solved.num_steps > 0, solved.next_step, walk.h),
            evals=walk.evals + solved.num_f_evals,
            has_failed=walk.has_failed | (solved.status != Status.SUCCESS),
        )
        return freeze(is_alive, new, walk)
