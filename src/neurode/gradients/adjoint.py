"""What the continuous adjoints have in common."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.norms import Tolerance
from ..core.trees import scale, tree_map
from ..core.types import Norm, Scalar, State, Times, VectorField
from ..loops.problem import Problem
from ..solvers.solver import Solver
from ..stepping.controller import StepController
from ..stepping.grids import EqualSteps
from .gradient import Settings


class Adjoint(NamedTuple):
    """The state of a solve backwards in time."""

    y: State
    a: State
    parameters: Any
    """The quadrature: the integral of a^T df/dp from t to t1."""


class Interval(NamedTuple):
    """What is solved back from one save time to the one before."""

    y0: Adjoint
    ts: Times
    parameters: Any
    """The arrays of f whose gradient is the quadrature; None elsewhere."""
    rest: Any
    """What else f is made of."""
    tolerances: tuple[Any, Any]
    """The adjoint's own, or None where it has the forward solve's."""
    tolerance: Tolerance
    """The forward solve's."""
    controller: StepController
    first_step: Any


def adjoint_problem(
    settings: Settings, solver: Solver, norm: Norm | None, interval: Interval
) -> Problem:
    """y' = f, a' = -a^T df/dy, and the quadrature of the parameters' gradient.

    Args:
        settings: of the forward solve.
        solver: of this one.
        norm: of its error in y and a.
        interval: what is solved.
    """
    y, dtype = interval.y0.y, interval.ts.dtype
    own = own_tolerance(*interval.tolerances, interval.tolerance, y, dtype)

    def field(t: Any, state: Adjoint) -> Adjoint:
        def f(y, parameters):
            return eqx.combine(parameters, interval.rest)(t, y)

        dy, f_vjp = jax.vjp(f, state.y, interval.parameters)
        a_bar, parameters_bar = f_vjp(state.a)
        return Adjoint(dy, scale(-1, a_bar), tree_map(jnp.negative, parameters_bar))

    return Problem(
        field=field,
        y0=interval.y0,
        ts=interval.ts,
        tolerance=Tolerance((own.rtol, own.rtol), (own.atol, own.atol)),
        solver=solver,
        controller=interval.controller,
        max_steps=settings.max_steps,
        norm=norm,
        first_step=interval.first_step if interval.controller.adaptive else None,
        skip_empty=True,
        controlled=lambda state: (state.y, state.a),
    )


def along_solution(
    settings: Settings,
    solver: Solver,
    norm: Norm | None,
    tolerance: Tolerance,
    controller: StepController,
    pull: Callable[[Scalar, State], tuple[State, Any]],
    y0: tuple[State, Any],
    elapsed: Times,
    first_step: Scalar | None,
) -> Problem:
    """a' = -a^T df/dy along a step of a known solution, and the quadrature of a^T df/dp with it.

    Times are counted from the step's beginning, so that short steps lose no digits.

    Args:
        settings: of the forward solve.
        solver: of this one.
        norm: of its error in a.
        tolerance: of this one.
        controller: of the forward solve.
        pull: (time, a) -> (a^T df/dy, a^T df/dp) where the solution then is.
        y0: a, and the quadrature so far.
        elapsed: where it begins and where it ends.
        first_step: to try first.
    """

    def field(elapsed: Any, state: tuple) -> tuple:
        a_bar, parameters_bar = pull(elapsed, state[0])
        return scale(-1, a_bar), tree_map(jnp.negative, parameters_bar)

    if controller.adaptive:
        limits = controller.limits._replace(first_step=None, step_at=None, jump_at=None)
        controller = eqx.tree_at(
            lambda c: c.limits, controller, limits, is_leaf=lambda x: x is None
        )
    else:
        controller, first_step = EqualSteps(steps=jnp.ones((), jnp.int32)), None
    return Problem(
        field=field,
        y0=y0,
        ts=elapsed,
        tolerance=tolerance,
        solver=solver,
        controller=controller,
        max_steps=settings.max_steps,
        norm=norm,
        first_step=first_step,
        skip_empty=True,
        controlled=lambda state: state[0],
    )


def interval_controller(
    controller: StepController, t: Scalar, t_before: Scalar, ends: tuple[Scalar, Scalar]
) -> StepController:
    """The forward solve's controller; of equal steps between its ends, as many as fit."""
    if controller.count is None:
        return controller
    span = jnp.abs(ends[1] - ends[0])
    share = controller.count * jnp.abs(t - t_before) / jnp.where(span == 0, 1, span)
    return EqualSteps(steps=jnp.maximum(1, jnp.round(share)).astype(jnp.int32))


def check_options(name: str, solver: Any, rtol: Any, atol: Any) -> None:
    """The adjoint's own solver and tolerances: of the right kind."""
    if solver is not None and not isinstance(solver, Solver):
        raise TypeError(f"{name}(solver=...) takes a solver such as Tsit5(), got {solver!r}")
    for option, value in (("rtol", rtol), ("atol", atol)):
        if isinstance(value, (int, float)) and not value >= 0:
            raise ValueError(f"{name}({option}=...) must not be negative, got {value!r}")


def check_solver(
    name: str, own: Solver | None, settings: Settings, controller: StepController
) -> None:
    """Whether the solver can solve the adjoint, with the step size controller of the solve."""
    if own is not None and controller.adaptive and own.error_order is None:
        raise ValueError(
            f"{name}(solver={type(own).__name__}()) has no error estimate and "
            f"cannot choose its own step size: use an adaptive solver such as Tsit5(), or "
            f"stepsize=nd.ConstantSteps(n) for the whole solve"
        )
    solver = settings.solver if own is None else own
    if solver.why_no_adjoints is not None:
        raise ValueError(
            f"gradient={name}() would solve the adjoint with {type(solver).__name__}(), "
            f"{solver.why_no_adjoints}; use gradient=nd.Checkpointed() or nd.Direct(), or "
            f"another solver for the way back, nd.{name}(solver=nd.Tsit5())"
        )


def own_or_forward(own: Any, forward: Any, y0: State, dtype: Any) -> Any:
    """A tolerance per leaf of the adjoint: its own number, or the forward solve's."""
    return forward if own is None else tree_map(lambda _: jnp.asarray(own, dtype), y0)


def own_tolerance(rtol: Any, atol: Any, forward: Tolerance, y0: State, dtype: Any) -> Tolerance:
    """The adjoint's own tolerances, and the forward solve's where it has none."""
    return Tolerance(
        own_or_forward(rtol, forward.rtol, y0, dtype), own_or_forward(atol, forward.atol, y0, dtype)
    )


def time_cotangent(field: VectorField, t: Any, y: State, a: State) -> jax.Array:
    """a^T f(t, y): how the loss changes when the state arrives later."""
    dy = field(t, y)
    products = tree_map(lambda g, d: jnp.sum(jnp.real(g * d)), a, dy)
    dtype = jnp.asarray(t).dtype
    total = sum(jax.tree_util.tree_leaves(products), start=jnp.zeros((), dtype))
    return total.astype(dtype)
