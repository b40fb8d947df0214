"""The vector fields that are timed."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp


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
        """Weights and the initial state."""
        keys = jax.random.split(jax.random.key(0), 3)
        weights = (
            jax.random.normal(keys[0], (self.dim, self.hidden)) / self.dim**0.5,
            jnp.zeros(self.hidden),
            0.5 * jax.random.normal(keys[1], (self.hidden, self.dim)) / self.hidden**0.5,
            jnp.zeros(self.dim),
        )
        return weights, jax.random.normal(keys[2], (self.batch, self.dim))


def mlp(t: jax.Array, y: jax.Array, weights: Any) -> jax.Array:
    """tanh(y W1 + b1) W2 + b2."""
    w1, b1, w2, b2 = weights
    return jnp.tanh(y @ w1 + b1) @ w2 + b2


MLP_PROBLEMS = (
    MLPProblem(1, 2, 50),
    MLPProblem(20, 2, 50),
    MLPProblem(128, 4, 20),
    MLPProblem(512, 64, 256),
)
