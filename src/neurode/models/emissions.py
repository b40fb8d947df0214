"""How observations follow from a decoder's outputs: Gaussian, Bernoulli and Poisson."""

from typing import Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class Emission(Protocol):
    """A distribution of each observed number, given one output of the decoder."""

    def encode(self, ys: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """Observations as a network should see them: of order one."""
        ...

    def log_prob(
        self, outputs: Float[Array, "*rows d"], ys: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """The log probability (density) of each number, in nats."""
        ...

    def mean(self, outputs: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """The expected observation."""
        ...

    def draw(
        self, key: Key[Array, ""], outputs: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """Observations drawn at random."""
        ...


class GaussianEmission(eqx.Module):
    """y ~ N(output, scale^2), with one scale for each variable.

    Attributes:
        log_scale: of the standard deviation, [d].
        is_learned: whether the noise is trained with everything else.
    """

    log_scale: Float[Array, " d"]
    is_learned: bool = eqx.field(static=True, default=True)

    @property
    def scale(self) -> Float[Array, " d"]:
        """The standard deviation of the noise, [d]."""
        log_scale = self.log_scale if self.is_learned else jax.lax.stop_gradient(self.log_scale)
        return jnp.exp(log_scale)

    def encode(self, ys: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """As they are: they are standardised."""
        return ys

    def log_prob(
        self, outputs: Float[Array, "*rows d"], ys: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """The log density of each number, in nats."""
        scale = self.scale
        return -0.5 * ((ys - outputs) / scale) ** 2 - jnp.log(scale) - 0.5 * jnp.log(2 * jnp.pi)

    def mean(self, outputs: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """The outputs."""
        return outputs

    def draw(
        self, key: Key[Array, ""], outputs: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """Outputs with noise."""
        return outputs + self.scale * jax.random.normal(key, outputs.shape, outputs.dtype)


class BernoulliEmission(eqx.Module):
    """y in {0, 1}, with the outputs as log odds."""

    def encode(self, ys: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """-1 and 1."""
        return 2 * ys - 1

    def log_prob(
        self, outputs: Float[Array, "*rows d"], ys: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """The log probability of each number, in nats."""
        return ys * outputs - jax.nn.softplus(outputs)

    def mean(self, outputs: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """The probability of a 1."""
        return jax.nn.sigmoid(outputs)

    def draw(
        self, key: Key[Array, ""], outputs: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """Zeros and ones."""
        return jax.random.bernoulli(key, self.mean(outputs)).astype(outputs.dtype)


class PoissonEmission(eqx.Module):
    """y a count, with the outputs as logarithms of the expected count."""

    def encode(self, ys: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """Logarithms."""
        return jnp.log1p(ys)

    def log_prob(
        self, outputs: Float[Array, "*rows d"], ys: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """The log probability of each count, in nats."""
        return ys * outputs - jnp.exp(outputs) - jax.lax.lgamma(ys + 1)

    def mean(self, outputs: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """The rates."""
        return jnp.exp(outputs)

    def draw(
        self, key: Key[Array, ""], outputs: Float[Array, "*rows d"]
    ) -> Float[Array, "*rows d"]:
        """Counts."""
        return jax.random.poisson(key, self.mean(outputs)).astype(outputs.dtype)
