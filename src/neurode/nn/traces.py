"""The divergence tr(df/dz) of a vector field: exact, or estimated without bias."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class Trace(eqx.Module):
    """How dz/dt and its divergence are computed together."""

    @abc.abstractmethod
    def draw(self, z: Float[Array, "*rows d"], key: Key[Array, ""]) -> Any:
        """Draw what stays fixed for a whole solve, so that the solver sees a smooth field."""

    @abc.abstractmethod
    def __call__(
        self, field: Callable, t: Any, z: Float[Array, "*rows d"], noise: Any, *context: Any
    ) -> tuple[Float[Array, "*rows d"], Float[Array, " *rows"]]:
        """dz/dt = field(t, z, *context), and the divergence of each row."""


class ExactTrace(Trace):
    """The divergence itself: in closed form where the field has one, else by d derivatives.

    Costs about d evaluations of the field without a closed form.
    """

    def draw(self, z: Float[Array, "*rows d"], key: Key[Array, ""]) -> None:
        """Nothing: there is no randomness."""
        del z, key

    def __call__(
        self, field: Callable, t: Any, z: Float[Array, "*rows d"], noise: Any, *context: Any
    ) -> tuple[Float[Array, "*rows d"], Float[Array, " *rows"]]:
        """dz/dt, and sum_i of df_i/dz_i."""
        del noise
        closed_form = getattr(field, "with_divergence", None)
        if closed_form is not None:
            return closed_form(t, z, *context)
        dz, push = jax.linearize(lambda z: field(t, z, *context), z)

        def diagonal(direction):
            return jnp.sum(direction * push(jnp.broadcast_to(direction, z.shape)), axis=-1)

        return dz, jax.vmap(diagonal)(jnp.eye(z.shape[-1], dtype=z.dtype)).sum(0)


class Hutchinson(Trace):
    """The unbiased estimate e·(df/dz)e with random e of unit covariance, at the cost of one vjp.

    Source: Hutchinson (1990); Grathwohl et al. (2019), "FFJORD", equation 8.

    Attributes:
        noise: the distribution of e: "rademacher" (signs, of the least variance) or "gaussian".
    """

    noise: str = eqx.field(static=True, default="rademacher")

    def __check_init__(self):
        if self.noise not in ("rademacher", "gaussian"):
            raise ValueError(f"noise must be 'rademacher' or 'gaussian', got {self.noise!r}")

    def draw(self, z: Float[Array, "*rows d"], key: Key[Array, ""]) -> Float[Array, "*rows d"]:
        """One e per row."""
        if self.noise == "gaussian":
            return jax.random.normal(key, z.shape, z.dtype)
        return jax.random.rademacher(key, z.shape, z.dtype)

    def __call__(
        self, field: Callable, t: Any, z: Float[Array, "*rows d"], noise: Any, *context: Any
    ) -> tuple[Float[Array, "*rows d"], Float[Array, " *rows"]]:
        """dz/dt, and the estimate of the divergence."""
        dz, pull = jax.vjp(lambda z: field(t, z, *context), z)
        return dz, jnp.sum(pull(noise)[0] * noise, axis=-1)
