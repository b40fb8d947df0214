"""Dynamics learned from observed trajectories: their solves, and the loss of a network's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int, Key

from neurode.gradients.checkpointed import Checkpointed
from neurode.gradients.gradient import GradientStrategy
from neurode.ivp import solve
from neurode.models.likelihoods import mean_square
from neurode.solvers.explicit_rk import Tsit5
from neurode.solvers.solver import Solver
from neurode.stepping import IController
from neurode.stepping.controller import StepController


class SolveOptions(eqx.Module):
    """How a model's trajectories are solved; hashable.

    Attributes:
        solver: the method.
        rtol: relative tolerance.
        atol: absolute tolerance, in units of each variable's magnitude.
        max_steps: the budget of steps of one trajectory.
        gradient: how the solve is differentiated.
        stepsize: the step size controller.
    """

    solver: Solver = eqx.field(static=True, default=Tsit5())
    rtol: float = eqx.field(static=True, default=1e-4)
    atol: float = eqx.field(static=True, default=1e-4)
    max_steps: int = eqx.field(static=True, default=4096)
    gradient: GradientStrategy = eqx.field(static=True, default=Checkpointed())
    stepsize: StepController = eqx.field(static=True, default=IController())


class Trajectories(NamedTuple):
    """n solved trajectories.

    Attributes:
        states: [n, T, d], NaN from a failure on.
        status: how each ended, [n].
        num_f_evals: evaluations of the vector field by each, [n].
    """

    states: Float[Array, "n T d"]
    status: Int[Array, " n"]
    num_f_evals: Int[Array, " n"]


class Observations(NamedTuple):
    """n observed trajectories in a model's units, padded to T times.

    Attributes:
        rows: the number of each trajectory, [n].
        ts: times [n, T], the last one repeated as padding.
        ys: values [n, T, d]; anything where not observed.
        mask: what was observed, [n, T, d].
    """

    rows: Int[Array, " n"]
    ts: Float[Array, "n T"]
    ys: Float[Array, "n T d"]
    mask: Bool[Array, "n T d"]


class Dynamics(eqx.Module):
    """A vector field, and where each trajectory starts.

    Attributes:
        field: f(t, y) -> dy/dt.
        initial: the state at the first time of each of the n trajectories, [n, d].
    """

    field: Callable
    initial: Float[Array, "n d"]


def solve_trajectories(
    field: Callable,
    initial: Float[Array, "n d"],
    ts: Float[Array, "n T"],
    options: SolveOptions,
    *,
    magnitude: Any = 1.0,
    probe: Any = None,
) -> Trajectories:
    """Solve n trajectories of one field independently, each at its own times.

    Args:
        field: f(t, y) -> dy/dt.
        initial: the states at ts[:, 0].
        ts: sorted times of each trajectory.
        options: how.
        magnitude: the typical size of each component of the state, for the absolute tolerance.
        probe: see `solve`.
    """

    def one(y0, times):
        return solve(
            field,
            y0,
            times,
            solver=options.solver,
            rtol=options.rtol,
            atol=options.atol * magnitude,
            stepsize=options.stepsize,
            max_steps=options.max_steps,
            gradient=options.gradient,
            probe=probe,
        )

    solution = jax.vmap(one)(initial, ts)
    return Trajectories(solution.ys, solution.status, solution.stats.num_f_evals)


class TrajectoryLoss(eqx.Module):
    """The objective of a network: the mean square error over everything observed.

    With states scaled to unit variance that is the negative log likelihood of Gaussian noise of
    one size, up to constants.

    Attributes:
        options: how trajectories are solved.
        magnitude: the typical size of each component of the state, [d].
    """

    options: SolveOptions
    magnitude: Float[Array, " d"] | float = 1.0

    def __call__(
        self,
        model: Dynamics,
        batch: Observations,
        key: Key[Array, ""],
        probe: Float[Array, ""],
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss, and the mean number of evaluations of the field by a trajectory."""
        del key
        solved = solve_trajectories(
            model.field,
            model.initial[batch.rows],
            batch.ts,
            self.options,
            magnitude=self.magnitude,
            probe=probe / len(batch.rows),  # so that its gradient is a mean too
        )
        loss = mean_square(solved.states - batch.ys, batch.mask)
        return loss, {"nfe_forward": solved.num_f_evals.mean()}
