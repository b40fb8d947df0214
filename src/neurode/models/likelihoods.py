"""How far predictions are from what was observed: likelihoods of masked residuals."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def mean_square(
    residuals: Float[Array, "*rows d"], mask: Bool[Array, "*rows d"]
) -> Float[Array, ""]:
    """The mean of squared residuals over what was observed; NaN elsewhere does no harm."""
    squares = jnp.where(mask, residuals, 0) ** 2
    return jnp.sum(squares) / jnp.maximum(jnp.sum(mask), 1)


class GaussianNoise(eqx.Module):
    """Independent Gaussian noise whose unknown sizes are maximised out of the likelihood.

    With S_j the sum of squares and n_j the number of observations of variable j, the negative log
    likelihood at its best noise is, up to a constant, sum_j n_j log(S_j) / 2 (Seber and Wild 1989,
    section 2.2.1). Its gradient is that of weighted least squares with weights n_j / S_j.

    Attributes:
        counts: n_j, observations per variable.
        floor: noise below this size is not told from exact data, per variable.
        is_shared: whether all variables have noise of one size.
    """

    counts: Float[Array, " d"]
    floor: Float[Array, " d"]
    is_shared: bool = eqx.field(static=True)

    def loss(self, residuals: Float[Array, "n T d"]) -> Float[Array, ""]:
        """The negative log likelihood, in nats. Residuals are 0 where nothing was observed."""
        return jnp.sum(self.counts * jnp.log(self.variances(residuals))) / 2

    def weights(self, residuals: Float[Array, "n T d"]) -> Float[Array, " d"]:
        """1 / variance of each variable's noise."""
        return 1 / self.variances(residuals)

    def variances(self, residuals: Float[Array, "n T d"]) -> Float[Array, " d"]:
        """The most likely variance of each variable's noise."""
        sums = jnp.sum(residuals**2, axis=(0, 1))
        if not self.is_shared:
            return sums / self.counts + self.floor**2
        total = jnp.sum(sums) / jnp.sum(self.counts) + jnp.min(self.floor) ** 2
        return jnp.broadcast_to(total, sums.shape)
