"""The rate of events read off a latent state, and its integral along the state's path.

For a Poisson process watched from t_0 to t_1, with lambda(t) = lambda(z(t)),

    log p(t_1, ..., t_N) = sum of log lambda(z(t_i)) - integral of lambda(z(t)) dt

where path and integral come from one solve: the integral is one more component of the state
(Chen et al. 2018, section 5.2).
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.nn import MLP


class EventRate(eqx.Module):
    """lambda(z) = scale exp(readout(z)), in events per unit of the model's time.

    Attributes:
        readout: from a latent state to log(lambda / scale).
        scale: the mean rate of the data; not trained.
    """

    readout: MLP
    scale: Float[Array, ""]

    @classmethod
    def new(
        cls, size: int, hidden: tuple[int, ...], scale: float, key: Key[Array, ""]
    ) -> "EventRate":
        """Draw the weights.

        Args:
            size: of the latent state.
            hidden: widths of the readout's hidden layers.
            scale: the mean rate.
            key: a typed key.
        """
        return cls(MLP(size, 1, hidden, key=key), jnp.asarray(scale, jnp.result_type(float)))

    def log_ratio(self, z: Float[Array, "*rows l"]) -> Float[Array, "*rows"]:
        """log(lambda / scale) of latent states."""
        return self.readout(z)[..., 0]


class CountedField(eqx.Module):
    """(z, m) -> (f(t, z), lambda(z) / scale): dynamics with the integral of a rate beside them.

    The integral is counted in multiples of the mean rate: it is of the order of the time that
    passes, as the state is, and the solver holds both to one tolerance.

    Attributes:
        field: f(t, z) of one latent state.
        rate: lambda.
    """

    field: Any
    rate: EventRate

    def __call__(self, t: Any, state: Float[Array, " l+1"]) -> Float[Array, " l+1"]:
        """The slope of one latent state and of its integral."""
        z = state[:-1]
        grown = jnp.exp(self.rate.log_ratio(z))
        return jnp.concatenate([self.field(t, z), grown[None]])

    def start(self, z: Float[Array, "*rows l"]) -> Float[Array, "*rows l+1"]:
        """Latent states from which counting begins."""
        return jnp.concatenate([z, jnp.zeros_like(z[..., :1])], axis=-1)

    def read(
        self, states: Float[Array, "*rows l+1"]
    ) -> tuple[Float[Array, "*rows"], Float[Array, "*rows"]]:
        """log lambda, and the integral of lambda since counting began."""
        log_rates = jnp.log(self.rate.scale) + self.rate.log_ratio(states[..., :-1])
        return log_rates, self.rate.scale * states[..., -1]


def event_log_likelihood(
    log_rates: Float[Array, "*n T"], counts: Float[Array, "*n T"], integral: Float[Array, "*n"]
) -> Float[Array, "*n"]:
    """Of the events of Poisson processes, in nats.

    Args:
        log_rates: log lambda at some times; anything where nothing happened.
        counts: how many events happened then.
        integral: of lambda over the time that was watched.
    """
    return jnp.where(counts > 0, counts * log_rates, 0).sum(axis=-1) - integral
