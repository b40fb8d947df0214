"""The planar normalizing flow, layer by layer, and its two objectives."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.models.flow import Normal


class PlanarFlow(eqx.Module):
    """K layers z -> z + u tanh(w·z + b), each invertible, none with an inverse in closed form.

    Source: Rezende and Mohamed (2015), equations 10-13 and appendix A.1 (u is shifted along w so
    that w·u > -1, which makes a layer invertible); equation 7 of Chen et al. (2018).

    Attributes:
        w: [K, d].
        u: [K, d], before the shift.
        b: [K].
    """

    w: Float[Array, "K d"]
    u: Float[Array, "K d"]
    b: Float[Array, " K"]

    def __init__(self, size: int, layers: int, *, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            size: dimension d.
            layers: K.
            key: a typed key.
        """
        for_w, for_u, for_b = jax.random.split(key, 3)
        self.w = jax.random.normal(for_w, (layers, size)) * size**-0.5
        self.u = 0.1 * jax.random.normal(for_u, (layers, size))
        self.b = 0.1 * jax.random.normal(for_b, (layers,))

    def __call__(self, z: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """The rows after all layers, and log |det| of the Jacobian of the map."""
        product = jnp.sum(self.w * self.u, axis=1, keepdims=True)
        shift = jax.nn.softplus(product) - 1 - product
        u = self.u + shift * self.w / jnp.sum(self.w**2, axis=1, keepdims=True)
        slopes = jnp.sum(self.w * u, axis=1)
        columns, total = list(z.T), 0.0
        for k in range(len(self.b)):
            h = jnp.tanh(sum(w * x for w, x in zip(self.w[k], columns, strict=True)) + self.b[k])
            columns = [x + u_i * h for u_i, x in zip(u[k], columns, strict=True)]
            total = total + jnp.log1p(slopes[k] * (1 - h * h))
        return jnp.stack(columns, axis=1), jnp.asarray(total)


class PlanarReverseKL(eqx.Module):
    """KL(q || p) up to p's normaliser, in nats, on fresh samples; see `ReverseKL`.

    Attributes:
        log_unnormalised: log p(x) up to a constant: one row [d] -> a number.
        size: dimension d.
        samples: drawn per iteration.
    """

    log_unnormalised: Callable
    size: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)

    def __call__(
        self, model: PlanarFlow, batch: object, key: Key[Array, ""], probe: Float[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss."""
        del batch, probe
        z = jax.random.normal(key, (self.samples, self.size))
        x, log_det = model(z)
        log_q = Normal().log_prob(z) - log_det
        return jnp.mean(log_q - jax.vmap(self.log_unnormalised)(x)), {}


class PlanarLikelihood(eqx.Module):
    """The mean of -log q(x), in nats; the flow maps data to the base here, and cannot go back."""

    def log_prob(self, model: PlanarFlow, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The log-density of each row."""
        z, log_det = model(x)
        return Normal().log_prob(z) + log_det

    def __call__(
        self,
        model: PlanarFlow,
        batch: Float[Array, "n d"],
        key: Key[Array, ""],
        probe: Float[Array, ""],
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss."""
        del key, probe
        return -jnp.mean(self.log_prob(model, batch)), {}
