"""neurode, as its documentation recommends."""

from typing import Any

import jax
import jax.numpy as jnp

import neurode as nd

GRADIENTS = {"exact": nd.Checkpointed(), "adjoint": nd.Backsolve()}
SOLVERS = {
    "Dopri5": nd.Dopri5(),
    "Dopri8": nd.Dopri8(),
    "RK38": nd.RK38(),
    "Tsit5": nd.Tsit5(),
}
EQUAL_STEPS_GRADIENTS = {
    "Checkpointed": nd.Checkpointed(),
    "Checkpointed(2 MiB)": nd.Checkpointed(max_memory=2 * 2**20),
    "Backsolve": nd.Backsolve(),
}


def solve(
    f: Any,
    y0: Any,
    ts: jax.Array,
    args: Any,
    *,
    tolerance: Any,
    first_step: Any,
    gradient: str = "exact",
    solver: str = "Dopri5",
    max_steps: int = 4096,
) -> tuple[Any, jax.Array]:
    """The states at ts, and the number of evaluations of f(t, y, args)."""
    sol = nd.solve(
        f, y0, ts, (args,), solver=SOLVERS[solver], rtol=tolerance, atol=tolerance,
        stepsize=nd.IController(first_step=first_step), gradient=GRADIENTS[gradient],
        max_steps=max_steps,
    )  # fmt: skip
    return sol.ys, sol.stats.num_f_evals


def equal_steps(
    f: Any, steps: int, step: float, gradient: str, y0: Any, args: Any, *, solver: str = "Dopri5"
) -> tuple[Any, jax.Array]:
    """`steps` equal steps from 0; the states at both ends, and the evaluations of f."""
    strategy = EQUAL_STEPS_GRADIENTS.get(gradient) or GRADIENTS[gradient]
    sol = nd.solve(
        f, y0, jnp.array([0.0, step * steps]), (args,), solver=SOLVERS[solver],
        stepsize=nd.ConstantSteps(steps), gradient=strategy, max_steps=steps,
    )  # fmt: skip
    return sol.ys, sol.stats.num_f_evals
