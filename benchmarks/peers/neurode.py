"""neurode, as its documentation recommends."""

from typing import Any

import jax

import neurode as nd

GRADIENTS = {"exact": nd.Checkpointed(), "adjoint": nd.Backsolve()}


def solve(f: Any, y0: Any, ts: jax.Array, weights: Any, tolerance: float, gradient: str) -> Any:
    """The saved states and the number of function evaluations."""
    sol = nd.solve(
        f, y0, ts, (weights,), solver=nd.Dopri5(), rtol=tolerance, atol=tolerance,
        stepsize=nd.IController(first_step=0.05), gradient=GRADIENTS[gradient],
    )  # fmt: skip
    return sol.ys, sol.stats.num_f_evals
