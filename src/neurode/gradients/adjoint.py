"""What the continuous adjoints have in common."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core.norms import Tolerance
from ..core.trees import tree_map
from ..core.types import State, VectorField
from ..solvers.solver import Solver
from ..stepping.controller import StepController
from .gradient import Settings


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
