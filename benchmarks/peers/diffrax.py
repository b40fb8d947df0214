"""diffrax, as its documentation recommends.

An explicit first step (its automatic one is a constant for ordinary differential equations, and
costs compile time); `SaveAt(t1=True)` where only the end is wanted; no run-time checks that call
back into Python (`EQX_ON_ERROR=nan`, set in `worker.py` before anything is imported); the seminorm
for the adjoint, as its documentation suggests for speed.
"""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp

SOLVERS = {
    "Dopri5": (diffrax.Dopri5, 6, 1),
    "Tsit5": (diffrax.Tsit5, 6, 1),
    "Dopri8": (diffrax.Dopri8, 13, 1),
}
"""The method, its evaluations per attempted step, and those before the first."""


def adjoint(gradient: str, tolerance: Any) -> diffrax.AbstractAdjoint:
    """Its default, or its continuous adjoint."""
    if gradient == "exact":
        return diffrax.RecursiveCheckpointAdjoint()
    controller = diffrax.PIDController(
        rtol=tolerance, atol=tolerance, norm=diffrax.adjoint_rms_seminorm
    )
    return diffrax.BacksolveAdjoint(stepsize_controller=controller)


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
    method, per_step, before = SOLVERS[solver]
    saveat = diffrax.SaveAt(t1=True) if len(ts) == 2 else diffrax.SaveAt(ts=ts)
    sol = diffrax.diffeqsolve(
        diffrax.ODETerm(f), method(), ts[0], ts[-1], first_step, y0, args, saveat=saveat,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        adjoint=adjoint(gradient, tolerance), max_steps=max_steps,
    )  # fmt: skip
    ys = jnp.concatenate([y0[None], sol.ys]) if len(ts) == 2 else sol.ys
    return ys, per_step * sol.stats["num_steps"] + before


EQUAL_STEPS_GRADIENTS = {
    "RecursiveCheckpointAdjoint": diffrax.RecursiveCheckpointAdjoint(),
    "BacksolveAdjoint": diffrax.BacksolveAdjoint(),
}


def equal_steps(
    f: Any, steps: int, step: float, gradient: str, y0: Any, args: Any
) -> tuple[Any, jax.Array]:
    """`steps` equal steps of Dopri5 from 0; the states at both ends, and the evaluations of f."""
    sol = diffrax.diffeqsolve(
        diffrax.ODETerm(f), diffrax.Dopri5(), 0.0, step * steps, step, y0, args,
        saveat=diffrax.SaveAt(t1=True), stepsize_controller=diffrax.ConstantStepSize(),
        adjoint=EQUAL_STEPS_GRADIENTS[gradient], max_steps=steps + 1,
    )  # fmt: skip
    return jnp.concatenate([y0[None], sol.ys]), 6 * sol.stats["num_steps"] + 1
