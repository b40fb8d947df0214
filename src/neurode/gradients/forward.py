"""Forward mode: tangents ride along with the steps, in the memory of one state each."""

from functools import partial

import jax

from ..core.one_way import forward_only
from ..loops.bounded import counted_loop
from ..loops.driver import integrate
from ..loops.problem import Trajectory
from .direct import solve_jvp
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    basic_recording,
    make_problem,
    mark_failure,
)

_NO_REVERSE = (
    "gradient=Forward() has forward mode only (jvp, jacfwd), and reverse mode (grad, vjp, jacrev) "
    "was asked for: use gradient=nd.Checkpointed(), or nd.Direct() for both"
)


class Forward(GradientStrategy):
    """Derivatives along a few directions: `jax.jvp`, `jax.jacfwd`, and these of each other.

    Exact derivatives of the discretisation, in memory that does not grow with the steps. The cost
    is a solve for each direction: for few inputs and many outputs. Reverse mode is refused.
    """

    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably in forward mode."""
        if inputs.probe is not None:
            raise TypeError(
                "probe= counts the evaluations of a backward pass, and gradient=Forward() has "
                "none: leave the probe out"
            )
        return _solve(settings, inputs)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solve(settings: Settings, inputs: Inputs) -> Trajectory:
    trajectory = integrate(make_problem(settings, inputs), basic_recording(settings))
    return mark_failure(settings, trajectory)


@_solve.defjvp
def _solve_jvp(settings: Settings, primals: tuple, tangents: tuple) -> tuple:
    found, tangent = solve_jvp(settings, counted_loop, *primals, *tangents)
    return found, forward_only(tangent, _NO_REVERSE)
