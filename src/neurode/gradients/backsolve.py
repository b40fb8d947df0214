"""The continuous adjoint of Chen et al. (2018), in constant memory.

With a(t) = dL/dy(t), the system y' = f, a' = -a^T df/dy is solved backwards from each save time to
the one before, starting again from the stored state (paper, section 2 and appendix D). The gradient
of the parameters, the integral of a^T df/dp, is a quadrature along that solution: it rides along
with the solver's own weights, but is no part of the adjoint's stages, error norm or step sizes, so
that the step size does not depend on the number of parameters (Kidger et al. 2021 call the same
exclusion a seminorm).
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.lanes import freeze, sum_like, while_any
from ..core.norms import Tolerance
from ..core.status import Status
from ..core.trees import add, row, scale, tree_map, zero_cotangent
from ..core.types import Norm, State
from ..loops.driver import integrate
from ..loops.problem import Problem, Trajectory
from ..solvers.solver import Solver
from ..stepping.controller import StepController
from ..stepping.grids import EqualSteps
from .adjoint import check_options, check_solver, own_tolerance, time_cotangent
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    any_nonzero,
    arriving_cotangent,
    instantiate,
    make_problem,
    mark_failure,
    split,
    spoil,
    values,
    wants_times,
)


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
        trajectory: Trajectory = _solve(
            settings, self.solver, self.norm, (self.rtol, self.atol), inputs
        )
        if save is None:
            return trajectory
        return trajectory._replace(rows=jax.vmap(save)(inputs.ts, trajectory.rows))


class Adjoint(NamedTuple):
    """The state of the backward solve."""

    y: State
    a: State
    parameters: Any
    """The quadrature: the integral of a^T df/dp from t to t1."""


class Walk(NamedTuple):
    """What is carried from interval to interval, backwards in time."""

    index: jax.Array
    a: State
    parameters: Any
    ts: jax.Array
    h: jax.Array
    evals: jax.Array
    has_failed: jax.Array


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _solve(settings, solver, norm, tolerances, inputs: Inputs) -> Trajectory:
    del solver, norm, tolerances
    trajectory = integrate(make_problem(settings, inputs))
    return mark_failure(settings, trajectory)


def _forward(settings, solver, norm, tolerances, asked: Any) -> tuple:
    inputs = values(asked)
    trajectory = integrate(make_problem(settings, inputs))
    kept = values(tolerances), inputs, trajectory, wants_times(asked)
    return mark_failure(settings, trajectory), kept


def _backward(settings, solver, norm, residuals, cotangent: Trajectory) -> tuple:
    tolerances, inputs, found, with_times = residuals
    cotangent = instantiate(cotangent)
    backward = _Backward(
        settings, solver, norm, tolerances, inputs, found, cotangent, with_times is not None
    )
    return zero_cotangent(tolerances), backward.run()


_solve.defvjp(_forward, _backward, symbolic_zeros=True)


class _Backward:
    """The backward solve, bound to what the forward solve kept and to the cotangents."""

    def __init__(self, settings, solver, norm, tolerances, inputs, found, cotangent, wants_times):
        self.settings, self.norm = settings, norm
        self.solver = settings.solver if solver is None else solver
        self.inputs, self.found = inputs, found
        self.ts, self.wants_times = inputs.ts, wants_times
        self.parameters, self.rest = split(inputs.field)
        self.tolerance = self.adjoint_tolerance(*tolerances)
        self.rows_bar, last, self.is_lost = arriving_cotangent(settings, found, cotangent.rows)
        self.last_bar = add(last, cotangent.y)

    def adjoint_tolerance(self, rtol: Any, atol: Any) -> Tolerance:
        forward, y0 = self.inputs.tolerance, self.inputs.y0
        own = own_tolerance(rtol, atol, forward, y0, self.ts.dtype)
        return Tolerance((own.rtol, own.rtol), (own.atol, own.atol))

    def field(self, t: Any, state: Adjoint) -> Adjoint:
        """y' = f, a' = -a^T df/dy, and the integrand of the parameters' gradient."""

        def f(y, parameters):
            return eqx.combine(parameters, self.rest)(t, y)

        dy, f_vjp = jax.vjp(f, state.y, self.parameters)
        a_bar, parameters_bar = f_vjp(state.a)
        return Adjoint(dy, scale(-1, a_bar), tree_map(jnp.negative, parameters_bar))

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
        controller = self.controller(jnp.abs(t - t_before))
        problem = Problem(
            field=self.field,
            y0=Adjoint(y, arriving, walk.parameters),
            ts=jnp.stack([t, jnp.where(is_alive, t_before, t)]),
            tolerance=self.tolerance,
            solver=self.solver,
            controller=controller,
            max_steps=self.settings.max_steps,
            norm=self.norm,
            first_step=walk.h if controller.adaptive else None,
            skip_empty=True,
            controlled=lambda state: (state.y, state.a),
        )
        solved = integrate(problem)
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

    def controller(self, length: jax.Array) -> Any:
        """The forward solve's controller; of equal steps, as many as fit the interval."""
        controller = self.inputs.controller
        if controller.count is None:
            return controller
        span = jnp.abs(self.ts[-1] - self.ts[0])
        share = controller.count * length / jnp.where(span == 0, 1, span)
        return EqualSteps(steps=jnp.maximum(1, jnp.round(share)).astype(jnp.int32))
