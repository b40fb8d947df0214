"""Densities in the plane that are known exactly: blurred arcs to sample from, energies to match."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

_NODES = 256  # of the quadrature along an arc: exact to double precision for noise >= 0.02
_CHUNK = 4096


class Arcs(eqx.Module):
    """Equally likely arcs of circles, blurred by Gaussian noise.

    Attributes:
        centres: [k, 2].
        radii: [k].
        angles: first and last angle of each arc, [k, 2].
        noise: standard deviation of both coordinates.
    """

    centres: np.ndarray
    radii: np.ndarray
    angles: np.ndarray
    noise: float = eqx.field(static=True)

    def sample(self, key: Key[Array, ""], n: int) -> Float[Array, "n 2"]:
        """Draw n points."""
        for_arc, for_angle, for_noise = jax.random.split(key, 3)
        arc = jax.random.randint(for_arc, (n,), 0, len(self.radii))
        first, last = jnp.asarray(self.angles)[arc].T
        angle = first + (last - first) * jax.random.uniform(for_angle, (n,))
        direction = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        points = jnp.asarray(self.centres)[arc] + jnp.asarray(self.radii)[arc, None] * direction
        return points + self.noise * jax.random.normal(for_noise, (n, 2))

    def log_prob(self, points: Float[Array, "n 2"]) -> np.ndarray:
        """The log-density in nats, by quadrature along the arcs, [n]."""
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        first, last = self.angles[:, :1], self.angles[:, 1:]
        angles = first + (last - first) * (nodes + 1) / 2
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        on_arcs = self.centres[:, None] + self.radii[:, None, None] * directions  # [k, nodes, 2]
        on_arcs = on_arcs.reshape(-1, 2)
        log_weights = np.log(np.tile(weights / 2, len(self.radii)) / len(self.radii))
        rows = np.asarray(points, np.float64)
        found = np.empty(len(rows))
        for i in range(0, len(rows), _CHUNK):
            gaps = rows[i : i + _CHUNK, None] - on_arcs
            exponents = log_weights - np.sum(gaps**2, axis=-1) / (2 * self.noise**2)
            top = exponents.max(axis=1)
            found[i : i + _CHUNK] = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1))
        return found - math.log(2 * math.pi * self.noise**2)

    def entropy(self, step: float = 0.02) -> float:
        """The entropy -∫ p log p in nats, by the trapezoidal rule.

        Args:
            step: of the grid; 0.02 is good for 6 digits at the noises used here.
        """
        margin = self.radii[:, None] + 6 * self.noise
        low, high = (self.centres - margin).min(axis=0), (self.centres + margin).max(axis=0)
        x, y = (np.arange(a, b + step, step) for a, b in zip(low, high, strict=True))
        log_p = self.log_prob(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))  # pyright: ignore[reportArgumentType]
        return float(-np.sum(np.exp(log_p) * log_p) * step**2)


def two_moons(noise: float = 0.1) -> Arcs:
    """Two interleaving half circles, as scikit-learn's `make_moons`.

    Args:
        noise: standard deviation of the blur.
    """
    return Arcs(
        np.array([[0.0, 0.0], [1.0, 0.5]]),
        np.ones(2),
        np.array([[0.0, math.pi], [math.pi, 2 * math.pi]]),
        noise,
    )


def two_circles(noise: float = 0.06, factor: float = 0.5) -> Arcs:
    """A circle inside another one, as scikit-learn's `make_circles`.

    Args:
        noise: standard deviation of the blur.
        factor: radius of the inner one; that of the outer one is 1.
    """
    return Arcs(
        np.zeros((2, 2)),
        np.array([1.0, factor]),
        np.array([[0.0, 2 * math.pi], [0.0, 2 * math.pi]]),
        noise,
    )


def _ring(z: Float[Array, " 2"]) -> Float[Array, ""]:
    left, right = (-0.5 * ((z[0] - side) / 0.6) ** 2 for side in (-2.0, 2.0))
    # Not the square root at 0, whose derivative there is none.
    radius = jnp.sqrt(jnp.sum(z**2) + 1e-12)
    return 0.5 * ((radius - 2) / 0.4) ** 2 - jnp.logaddexp(left, right)


def _wave(z: Float[Array, " 2"]) -> Float[Array, ""]:
    return 0.5 * ((z[1] - _w1(z)) / 0.4) ** 2 + _walls(z)


def _fork(z: Float[Array, " 2"]) -> Float[Array, ""]:
    w2 = 3 * jnp.exp(-0.5 * ((z[0] - 1) / 0.6) ** 2)
    branches = (-0.5 * ((z[1] - _w1(z) + shift) / 0.35) ** 2 for shift in (0.0, w2))
    return -jnp.logaddexp(*branches) + _walls(z)


def _w1(z: Float[Array, " 2"]) -> Float[Array, ""]:
    return jnp.sin(2 * math.pi * z[0] / 4)


def _walls(z: Float[Array, " 2"]) -> Float[Array, ""]:
    """Soft walls at |z1| = 4, without which the density of a wave or fork has no integral."""
    return 0.5 * (jnp.maximum(jnp.abs(z[0]) - 4, 0) / 0.2) ** 2


class Energy(NamedTuple):
    """A density known up to its normaliser, p ~ exp(-U).

    Attributes:
        name: what it looks like.
        energy: U of one point [2].
    """

    name: str
    energy: Callable[[Float[Array, " 2"]], Float[Array, ""]]

    def log_unnormalised(self, z: Float[Array, " 2"]) -> Float[Array, ""]:
        """-U of one point."""
        return -self.energy(z)

    def log_normaliser(self, half: float = 8.0, count: int = 2001) -> float:
        """The logarithm of the integral of exp(-U) over [-half, half]², by the trapezoidal rule.

        Args:
            half: half the side of the square.
            count: points along a side.
        """
        side = jnp.linspace(-half, half, count)
        row = jax.vmap(lambda x, y: self.energy(jnp.stack([x, y])), (0, None))
        exponents = jax.lax.map(lambda y: jax.nn.logsumexp(-row(side, y)), side)
        step = 2 * half / (count - 1)
        return float(jax.nn.logsumexp(exponents)) + 2 * math.log(step)


ENERGIES: Sequence[Energy] = (
    Energy("two modes on a ring", _ring),
    Energy("a wave", _wave),
    Energy("a forked wave", _fork),
)
"""U1, U2 and U3 of Rezende and Mohamed (2015), Table 1; U2 and U3 with soft walls at |z1| = 4."""
