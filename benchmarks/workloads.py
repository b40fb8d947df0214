"""The initial value problems that are timed: vector fields in JAX, with their data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp


def mlp(t: jax.Array, y: jax.Array, weights: Any) -> jax.Array:
    """tanh(y W1 + b1) W2 + b2, for y of shape [..., dim]."""
    w1, b1, w2, b2 = weights
    return jnp.tanh(y @ w1 + b1) @ w2 + b2


@dataclass(frozen=True)
class MLPProblem:
    """A batch of states under a two-layer network, integrated jointly from 0 to `t1`."""

    batch: int
    dim: int
    hidden: int
    t1: float = 3.0

    @property
    def name(self) -> str:
        """The sizes, as tables show them."""
        return f"{self.batch} x {self.dim}, {self.hidden}"

    def arrays(self) -> tuple[Any, jax.Array]:
        """Weights and the initial states."""
        keys = jax.random.split(jax.random.key(0), 3)
        normal = lambda key, shape: jax.random.normal(key, shape, jnp.float32)  # noqa: E731
        weights = (
            normal(keys[0], (self.dim, self.hidden)) / self.dim**0.5,
            jnp.zeros(self.hidden, jnp.float32),
            0.5 * normal(keys[1], (self.hidden, self.dim)) / self.hidden**0.5,
            jnp.zeros(self.dim, jnp.float32),
        )
        return weights, normal(keys[2], (self.batch, self.dim))


MLP_PROBLEMS = (
    MLPProblem(1, 2, 50),
    MLPProblem(20, 2, 50),
    MLPProblem(128, 4, 20),
    MLPProblem(512, 64, 256),
)


def van_der_pol(t: jax.Array, y: jax.Array, mu: jax.Array) -> jax.Array:
    """x'' = mu (1 - x^2) x' - x."""
    x, v = y
    return jnp.stack([v, mu * (1 - x * x) * v - x])


def lotka_volterra(t: jax.Array, y: jax.Array, rates: jax.Array) -> jax.Array:
    """Prey and predator: (a - b y) x, (c x - d) y."""
    a, b, c, d = rates
    x, z = y
    return jnp.stack([(a - b * z) * x, (c * x - d) * z])


@dataclass(frozen=True)
class LaneProblem:
    """Many independent systems of one equation: a state and parameters per lane.

    Attributes:
        name: of the family.
        f: f(t, y, parameters), of one lane.
        draw: (key, lanes) -> (y0 [lanes, 2], parameters [lanes, ...]).
        first_step: for everyone.
        t1: end of the integration, which begins at 0.
    """

    name: str
    f: Callable
    draw: Callable
    first_step: float = 0.01
    t1: float = 20.0


def _van_der_pol(key: jax.Array, lanes: int, low: float, high: float) -> tuple:
    for_y, for_mu = jax.random.split(key)
    y0 = jnp.array([2.0, 0.0]) + 0.1 * jax.random.normal(for_y, (lanes, 2))
    log_mu = jax.random.uniform(for_mu, (lanes,), minval=jnp.log(low), maxval=jnp.log(high))
    return y0, jnp.exp(log_mu)


def _lotka_volterra(key: jax.Array, lanes: int) -> tuple:
    for_y, for_rates = jax.random.split(key)
    y0 = jnp.exp(0.3 * jax.random.normal(for_y, (lanes, 2)))
    rates = jnp.array([1.0, 0.5, 0.5, 1.0]) * jnp.exp(
        0.3 * jax.random.normal(for_rates, (lanes, 4))
    )
    return y0, rates


LANE_PROBLEMS = (
    LaneProblem("van der Pol, mu = 2", van_der_pol, lambda key, n: _van_der_pol(key, n, 2.0, 2.0)),
    LaneProblem(
        "van der Pol, mu 1-30", van_der_pol, lambda key, n: _van_der_pol(key, n, 1.0, 30.0)
    ),
    LaneProblem("Lotka-Volterra", lotka_volterra, _lotka_volterra),
)
