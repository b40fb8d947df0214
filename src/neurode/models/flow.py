"""Continuous normalizing flows: densities carried along an ODE, and the two ways to fit one."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.core.solution import Stats
from neurode.ivp import solve
from neurode.models.dynamics import SolveOptions
from neurode.nn import ExactTrace, Trace


class Normal(eqx.Module):
    """The standard normal distribution in d dimensions."""

    def log_prob(self, z: Float[Array, "*rows d"]) -> Float[Array, " *rows"]:
        """The log-density of each row, in nats."""
        return -0.5 * jnp.sum(z * z, axis=-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)

    def sample(self, key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Array:
        """Draw an array whose last axis is d."""
        return jax.random.normal(key, shape, dtype)


class StudentT(eqx.Module):
    """Independent Student t distributions, whose tails the flow learns.

    A flow along a Lipschitz field cannot turn light tails into heavy ones (Jaini et al. 2020,
    "Tails of Lipschitz triangular flows"): the tails have to be in the base.

    Attributes:
        log_freedom: log(degrees of freedom - 1) of each dimension, [d].
    """

    log_freedom: Float[Array, " d"]

    def log_prob(self, z: Float[Array, "*rows d"]) -> Float[Array, " *rows"]:
        """The log-density of each row, in nats."""
        nu = 1 + jnp.exp(self.log_freedom)
        gammaln = jax.scipy.special.gammaln
        norm = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu * math.pi)
        # Not log1p(z²/nu) alone: z² overflows long before its logarithm does.
        size = jnp.maximum(1, jnp.abs(z))
        log_tail = 2 * jnp.log(size) + jnp.log(1 / size**2 + (z / size) ** 2 / nu)
        return jnp.sum(norm - (nu + 1) / 2 * log_tail, axis=-1)

    def sample(self, key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Array:
        """Draw an array whose last axis is d."""
        return jax.random.t(key, 1 + jnp.exp(self.log_freedom), shape, dtype)


class Flow(eqx.Module):
    """A base distribution at t = 0, carried by a vector field to that of the data at t = 1.

    Attributes:
        field: f(t, z) -> dz/dt, or f(t, z, context); leading axes of z are rows.
        base: of z at t = 0.
    """

    field: Callable
    base: Normal | StudentT = Normal()


class Transported(NamedTuple):
    """Rows that were carried along a flow.

    Attributes:
        z: where they arrived, [..., d]; a leading axis of times if several were asked for.
        change: the integral of the divergence from the first time on: the log-density of a row
            falls by it (Theorem 1 of Chen et al. 2018).
        stats: of the solve.
        status: how it ended.
    """

    z: Float[Array, "*rows d"]
    change: Float[Array, " *rows"]
    stats: Stats
    status: Array


class _Carried(eqx.Module):
    """The vector field of (z, log-density), with everything that stays fixed in a solve."""

    field: Callable
    trace: Trace
    noise: Any
    context: tuple

    def __call__(self, t: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        return self.trace(self.field, t, state[0], self.noise, *self.context)


def transport(
    field: Callable,
    z: Float[Array, "*rows d"],
    ts: Any,
    options: SolveOptions,
    *,
    trace: Trace = ExactTrace(),  # noqa: B008
    context: Float[Array, "*rows c"] | None = None,
    key: Key[Array, "..."] | None = None,
    tolerance: Any = None,
    norm: Callable | None = None,
    probe: Any = None,
    throw: bool = True,
) -> Transported:
    """Carry rows along a field, and integrate its divergence on the way.

    The rows are one joint system with one step size, as in the paper; under `jax.vmap` each takes
    its own steps.

    Args:
        field: f(t, z) -> dz/dt, or f(t, z, context).
        z: the rows at ts[0].
        ts: two times, (0, 1) from the base to the data and (1, 0) back; or more, whose states are
            then all returned.
        options: how to solve.
        trace: how the divergence is computed.
        context: what the field is conditioned on.
        key: of an estimated trace's noise, one for all rows or one for each; it may be left out
            for an exact one.
        tolerance: relative and absolute, in place of that of the options; it may be traced, so
            that one program serves many.
        norm: of the scaled errors of (z, change), see `solve`.
        probe: see `solve`.
        throw: see `solve`.
    """
    noise = None if key is None else _draw_noise(trace, z, key)
    carried = _Carried(field, trace, noise, () if context is None else (context,))
    solution = solve(
        carried,
        (z, jnp.zeros(z.shape[:-1], z.dtype)),
        jnp.asarray(ts, z.dtype),
        solver=options.solver,
        rtol=options.rtol if tolerance is None else tolerance,
        atol=options.atol if tolerance is None else tolerance,
        max_steps=options.max_steps,
        gradient=options.gradient,
        norm=norm,
        probe=probe,
        throw=throw,
    )
    rows, change = solution.ys
    if len(ts) == 2:
        rows, change = rows[-1], change[-1]
    return Transported(rows, change, solution.stats, solution.status)


def _draw_noise(trace: Trace, z: Float[Array, "*rows d"], key: Key[Array, "..."]) -> Any:
    draw = trace.draw
    for _ in range(key.ndim):
        draw = jax.vmap(draw)
    return draw(z, key)


def log_density(
    flow: Flow, x: Float[Array, "*rows d"], options: SolveOptions, **how: Any
) -> tuple[Float[Array, " *rows"], Transported]:
    """The log-density of rows under a flow, in nats, and where they came from.

    Args:
        flow: the flow.
        x: the rows, at t = 1.
        options: how to solve.
        **how: as `transport`: trace, context, key, tolerance, norm, probe, throw.
    """
    back = transport(flow.field, x, (1.0, 0.0), options, **how)
    # The divergence integrated from 1 to 0 is minus that from 0 to 1.
    return flow.base.log_prob(back.z) + back.change, back


class FlowLikelihood(eqx.Module):
    """The objective of maximum likelihood: the mean of -log q(x), in nats.

    Attributes:
        options: how the flow is solved; its max_steps is the budget of an iteration.
        trace: how the divergence is computed.
    """

    options: SolveOptions
    trace: Trace = ExactTrace()

    def __call__(
        self, model: Flow, batch: Any, key: Key[Array, ""], probe: Float[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss; a batch is the rows [n, d], or (rows, context)."""
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        how = {"trace": self.trace, "context": context, "key": key, "probe": probe}
        log_q, back = log_density(model, x, self.options, **how)
        return -jnp.mean(log_q), {"nfe_forward": back.stats.num_f_evals}


class ReverseKL(eqx.Module):
    """The objective of density matching: the mean of log q(x) - log p(x) over x drawn from q.

    It is KL(q || p) minus the logarithm of p's normaliser, in nats. A "batch" is ignored: fresh
    samples are drawn from the key in every iteration.

    Its gradient is taken along the path: through the samples x alone, with q's own parameters held
    fixed where log q(x) is evaluated, because what they contribute has mean zero and only adds
    noise. The gradient's variance then vanishes as q nears p. It costs a second solve, back from x.

    Source: Chen et al. (2018), section 4.1; Rezende and Mohamed (2015). The path gradient: Roeder,
    Wu and Duvenaud (2017), "Sticking the landing"; for continuous flows Vaitl et al. (2022),
    "Path-gradient estimators for continuous normalizing flows".

    Attributes:
        log_unnormalised: log p(x) up to a constant: one row [d] -> a number.
        options: how the flow is solved; its max_steps is the budget of each of the two solves.
        size: dimension d.
        samples: drawn per iteration.
        trace: how the divergence is computed.
        path_gradient: False differentiates through log q(x) as well, in one solve.
    """

    log_unnormalised: Callable
    options: SolveOptions
    size: int = eqx.field(static=True)
    samples: int = eqx.field(static=True, default=512)
    trace: Trace = ExactTrace()
    path_gradient: bool = eqx.field(static=True, default=True)

    def __call__(
        self, model: Flow, batch: Any, key: Key[Array, ""], probe: Float[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss; "spread" is the root mean square of the samples."""
        del batch
        for_base, for_trace = jax.random.split(key)
        z = model.base.sample(for_base, (self.samples, self.size), jnp.result_type(float))
        how = {"trace": self.trace, "key": for_trace, "probe": probe}
        moved = transport(model.field, z, (0.0, 1.0), self.options, **how)
        nfe = moved.stats.num_f_evals
        if self.path_gradient:
            log_q, back = log_density(_hold(model), moved.z, self.options, **how)
            nfe = nfe + back.stats.num_f_evals
        else:
            log_q = model.base.log_prob(z) - moved.change
        loss = jnp.mean(log_q - jax.vmap(self.log_unnormalised)(moved.z))
        spread = jnp.sqrt(jnp.mean(jax.lax.stop_gradient(moved.z) ** 2))
        return loss, {"nfe_forward": nfe, "spread": spread}


def _hold(model: Any) -> Any:
    """The model as a constant of differentiation."""
    arrays, rest = eqx.partition(model, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)
