"""neurode, as its documentation recommends."""

from typing import Any

import jax

import neurode as nd

GRADIENTS = {"exact": nd.Checkpointed(), "adjoint": nd.Backsolve()}
SOLVERS = {"Dopri5": nd.Dopri5(), "Tsit5": nd.Tsit5(), "Dopri8": nd.Dopri8()}


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
