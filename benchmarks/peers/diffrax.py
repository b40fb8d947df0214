"""diffrax, with an explicit first step: its automatic one is a constant."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp

GRADIENTS = {
    "exact": diffrax.RecursiveCheckpointAdjoint(),
    "adjoint": diffrax.BacksolveAdjoint(),
}


def solve(f: Any, y0: Any, ts: jax.Array, weights: Any, tolerance: float, gradient: str) -> Any:
    """The saved states and the number of function evaluations."""
    saveat = diffrax.SaveAt(t1=True) if len(ts) == 2 else diffrax.SaveAt(ts=ts)
    sol = diffrax.diffeqsolve(
        diffrax.ODETerm(f), diffrax.Dopri5(), ts[0], ts[-1], 0.05, y0, weights, saveat=saveat,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        adjoint=GRADIENTS[gradient],
    )  # fmt: skip
    ys = jnp.concatenate([y0[None], sol.ys]) if len(ts) == 2 else sol.ys
    return ys, 6 * sol.stats["num_steps"] + 1
