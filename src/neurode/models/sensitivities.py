"""Trajectories of an ODE with unknown parameters, and their exact derivatives by these."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from neurode.ivp import solve
from neurode.models.dynamics import SolveOptions
from neurode.models.parameters import ParameterSpace


class Sensitivities(NamedTuple):
    """n trajectories and their derivatives; NaN from a failure on.

    Attributes:
        states: y, [n, T, d].
        by_shared: dy / d(free parameters), [n, T, d, k].
        by_local: dy / d(local numbers of the trajectory's initial state), [n, T, d, q].
        status: how each solve ended, [n].
        num_f_evals: evaluations of the ODE by each, [n], each with k + q directional derivatives.
    """

    states: Float[Array, "n T d"]
    by_shared: Float[Array, "n T d k"]
    by_local: Float[Array, "n T d q"]
    status: Int[Array, " n"]
    num_f_evals: Int[Array, " n"]


class ParametricODE(eqx.Module):
    """y' = ode(t, y, p) with unknown p shared by all trajectories.

    Attributes:
        ode: (t, y [d], parameters [k]) -> dy/dt [d].
        space: the parameters' names and bounds.
        magnitude: the typical size of each component of y, for the absolute tolerance.
        options: how it is solved.
    """

    ode: Callable
    space: ParameterSpace
    magnitude: Float[Array, " d"]
    options: SolveOptions

    def sensitivities(
        self,
        shared: Float[Array, " k"],
        local: Float[Array, "n q"],
        start: Callable[[Float[Array, " q"], Float[Array, " d"]], Float[Array, " d"]],
        fixed: Float[Array, "n d"],
        ts: Float[Array, "n T"],
    ) -> Sensitivities:
        """Solve every trajectory together with its variational equations.

        d/dt S = f_y S + f_u rides along without a say in the step size (atol = inf), so that S is
        the exact derivative of the discretised solution: a Runge-Kutta step of the variational
        equations is the derivative of the Runge-Kutta step. One solve without a tape gives what
        jacfwd through `Direct` gives, and costs a third.

        Args:
            shared: the free numbers of the parameters.
            local: the free numbers of each trajectory's initial state; q may be 0.
            start: the initial state from a trajectory's local numbers and `fixed` row.
            fixed: what is known of each initial state.
            ts: sorted times of each trajectory.
        """
        k, q = shared.shape[0], local.shape[1]
        directions = jnp.eye(k + q, dtype=shared.dtype)

        def field(t, z, u):
            y, by = z

            def push(dy, du):
                rate = lambda y, u: self.ode(t, y, self.space.values(u[:k]))  # noqa: E731
                return jax.jvp(rate, (y, u), (dy, du))

            rate, rates = jax.vmap(push, out_axes=(None, 0))(by, directions)
            return rate, rates

        def one(local, fixed, times):
            u = jnp.concatenate([shared, local])
            begin = lambda u: start(u[k:], fixed)  # noqa: E731
            y0, by0 = begin(u), jax.jacfwd(begin)(u).T
            options = self.options
            return solve(
                field,
                (y0, by0),
                times,
                (u,),
                solver=options.solver,
                rtol=options.rtol,
                atol=(options.atol * self.magnitude, jnp.inf),
                max_steps=options.max_steps,
            )

        solution = jax.vmap(one)(local, fixed, ts)
        states, by = solution.ys
        by = jnp.moveaxis(by, 2, 3)
        return Sensitivities(
            states, by[..., :k], by[..., k:], solution.status, solution.stats.num_f_evals
        )
