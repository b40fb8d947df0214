"""Initial value problems with known answers, for nd.solve and for SciPy alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import newton
from scipy.special import ellipj, ellipk, erf


@dataclass(frozen=True, eq=False)
class Problem:
    """y' = f(t, y, *args), y(t0) = y0, whose solution at t1 is known.

    Attributes:
        y0: initial state: NumPy arrays (float64 or complex128), or a dictionary of them.
        t1: final time; smaller than t0 for a problem that runs backwards.
        exact: y(t) in closed form, of y0's structure, in NumPy; None where there is none.
        reference: y(t1), for a problem without a closed form.
        args: constants of f.
        tags: what the problem is for.
    """

    name: str
    f: Callable[..., Any]
    y0: Any
    t0: float
    t1: float
    exact: Callable[[float], Any] | None = None
    reference: Any = None
    args: tuple[Any, ...] = ()
    tags: frozenset[str] = frozenset()

    def answer(self, t: float | None = None) -> Any:
        """y(t), by default at t1."""
        if self.exact is not None:
            return self.exact(self.t1 if t is None else t)
        if t is None or t == self.t1:
            return self.reference
        raise ValueError(f"{self.name} is only known at t1={self.t1}, not at t={t}")

    def error(self, y: Any, t: float | None = None) -> float:
        """Root mean square of y - y(t) over all components, in units of the solution."""
        difference = flatten(y) - flatten(self.answer(t))
        return float(np.sqrt(np.mean(np.abs(difference) ** 2)))

    def numpy_f(self) -> Callable[[float, np.ndarray], np.ndarray]:
        """f(t, v) on flat vectors in float64, as scipy.integrate.solve_ivp wants it."""
        with jax.enable_x64(True):
            _, unflatten = ravel_pytree(self.y0)

        @jax.jit
        def compiled(t: Any, v: Any) -> Any:
            return ravel_pytree(self.f(t, unflatten(v), *self.args))[0]

        def f(t: float, v: np.ndarray) -> np.ndarray:
            with jax.enable_x64(True):
                return np.asarray(compiled(t, v))

        return f


def flatten(y: Any) -> np.ndarray:
    """The leaves of a state, one after the other, as one NumPy vector."""
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(y)])


def _linear() -> Problem:
    def exact(t: float) -> np.ndarray:
        c, s = math.cos(2 * t), math.sin(2 * t)
        return math.exp(-t / 2) * np.array([c + 0.5 * s, 0.5 * c - s])

    return Problem(
        "linear",
        lambda t, y, a: a @ y,
        np.array([1.0, 0.5]),
        0.0,
        4.0,
        exact,
        args=(np.array([[-0.5, 2.0], [-2.0, -0.5]]),),
        tags=frozenset({"smooth"}),
    )


def _logistic() -> Problem:
    def exact(t: float) -> np.ndarray:
        return np.array([2.0 / (1 + 19.0 * math.exp(-1.5 * t))])

    return Problem(
        "logistic",
        lambda t, y, rate, capacity: rate * y * (1 - y / capacity),
        np.array([0.1]),
        0.0,
        4.0,
        exact,
        args=(1.5, 2.0),
        tags=frozenset({"smooth", "nonlinear"}),
    )


def _nonautonomous() -> Problem:
    return Problem(
        "nonautonomous",
        lambda t, y: y * jnp.cos(t),
        np.array([1.0]),
        0.0,
        5.0,
        lambda t: np.array([math.exp(math.sin(t))]),
        tags=frozenset({"smooth"}),
    )


def _oscillator(name: str, frequency: float, t0: float, t1: float, tag: str) -> Problem:
    """y'' = -frequency^2 y, with y and y' / frequency as the state."""

    def exact(t: float) -> np.ndarray:
        phase = frequency * (t - t0)
        return np.array([math.cos(phase), -math.sin(phase)])

    def field(t: Any, y: Any, frequency: float) -> Any:
        return frequency * jnp.stack([y[1], -y[0]])

    y0 = np.array([1.0, 0.0])
    return Problem(name, field, y0, t0, t1, exact, args=(frequency,), tags=frozenset({tag}))


def _kepler() -> Problem:
    """Two orbits of eccentricity 0.6 (HNW, II.10, problem D3 of DETEST)."""
    e = 0.6

    def exact(t: float) -> np.ndarray:
        mean = math.remainder(t, 2 * math.pi)
        anomaly = newton(lambda u: u - e * np.sin(u) - mean, mean, lambda u: 1 - e * np.cos(u))
        c, s, root = np.cos(anomaly), np.sin(anomaly), math.sqrt(1 - e * e)
        return np.array([c - e, root * s, -s / (1 - e * c), root * c / (1 - e * c)])

    y0 = np.array([0.4, 0.0, 0.0, 2.0])
    return Problem(
        "kepler",
        lambda t, y: jnp.concatenate([y[2:], -y[:2] * (y[0] ** 2 + y[1] ** 2) ** -1.5]),
        y0,
        0.0,
        4 * math.pi,
        exact,
        tags=frozenset({"orbit"}),
    )


# The references of the next four were made with the extrapolated modified midpoint rule (8
# columns, order 16, HNW II.9) in 80-bit floating point: two step sizes agreed to 1e-15. Except for
# _arenstorf, whose orbit is periodic by construction.
def _lotka_volterra() -> Problem:
    def field(t: Any, y: Any, a: float, b: float, c: float, d: float) -> Any:
        return jnp.stack([a * y[0] - b * y[0] * y[1], -c * y[1] + d * y[0] * y[1]])

    return Problem(
        "lotka_volterra",
        field,
        np.array([1.0, 1.0]),
        0.0,
        10.0,
        reference=np.array([1.0263447675750891, 0.9096910781360417]),
        args=(1.5, 1.0, 3.0, 1.0),
        tags=frozenset({"nonlinear"}),
    )


def _brusselator() -> Problem:
    """HNW I.16, eq. (16.12)."""

    def field(t: Any, y: Any) -> Any:
        autocatalysis = y[0] ** 2 * y[1]
        return jnp.stack([1 + autocatalysis - 4 * y[0], 3 * y[0] - autocatalysis])

    return Problem(
        "brusselator",
        field,
        np.array([1.5, 3.0]),
        0.0,
        20.0,
        reference=np.array([0.4986370712683480, 4.5967803494520117]),
        tags=frozenset({"nonlinear"}),
    )


def _van_der_pol() -> Problem:
    def field(t: Any, y: Any, mu: float) -> Any:
        return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])

    return Problem(
        "van_der_pol",
        field,
        np.array([2.0, 0.0]),
        0.0,
        15.0,
        reference=np.array([1.4205645272329838, -0.2576978793109163]),
        args=(5.0,),
        tags=frozenset({"stiff", "nonlinear"}),
    )


def _arenstorf() -> Problem:
    """A periodic orbit around earth and moon (HNW II.0, eq. (0.1)): y(t1) = y0.

    Known to 1e-11 only: rounding the published velocity and period to 64 bits moves y(t1) by as
    much (found with the same extrapolation in 80-bit arithmetic).
    """

    def field(t: Any, y: Any, mu: float) -> Any:
        other = 1 - mu
        earth = ((y[0] + mu) ** 2 + y[1] ** 2) ** 1.5
        moon = ((y[0] - other) ** 2 + y[1] ** 2) ** 1.5
        return jnp.stack(
            [
                y[2],
                y[3],
                y[0] + 2 * y[3] - other * (y[0] + mu) / earth - mu * (y[0] - other) / moon,
                y[1] - 2 * y[2] - other * y[1] / earth - mu * y[1] / moon,
            ]
        )

    y0 = np.array([0.994, 0.0, 0.0, -2.00158510637908252240537862224])
    period = 17.0652165601579625588917206249
    return Problem("arenstorf", field, y0, 0.0, period, reference=y0, args=(0.012277471,))


def _prothero_robinson() -> Problem:
    """Prothero & Robinson (1974): the smooth solution cos t among fast transients."""
    return Problem(
        "prothero_robinson",
        lambda t, y, rate: -rate * (y - jnp.cos(t)) - jnp.sin(t),
        np.array([1.0]),
        0.0,
        3.0,
        lambda t: np.array([math.cos(t)]),
        args=(50.0,),
        tags=frozenset({"stiff"}),
    )


def _complex_rotation() -> Problem:
    """Two coupled quantum levels: i y' = H y with a Hermitian H."""
    hamiltonian = np.array([[2.0, 0.5 - 0.25j], [0.5 + 0.25j, -1.0]])
    y0 = np.array([0.6 + 0.0j, 0.0 + 0.8j])
    energies, states = np.linalg.eigh(hamiltonian)

    def exact(t: float) -> np.ndarray:
        return states @ (np.exp(-1j * energies * t) * (states.conj().T @ y0))

    return Problem(
        "complex_rotation",
        lambda t, y, h: -1j * (h @ y),
        y0,
        0.0,
        6.0,
        exact,
        args=(hamiltonian,),
        tags=frozenset({"complex", "smooth"}),
    )


def _damped_dictionary() -> Problem:
    """Two damped oscillators in a dictionary, with the heat that they give off."""
    frequency, damping = np.array([2.0, 3.0]), 0.3
    start = np.array([1.0, -0.5])
    beat = np.sqrt(frequency**2 - damping**2)

    def field(t: Any, y: Any, square: Any, loss: float) -> Any:
        force = -square * y["position"] - 2 * loss * y["velocity"]
        heat = 2 * loss * jnp.sum(y["velocity"] ** 2)
        return {"heat": heat, "position": y["velocity"], "velocity": force}

    def energy(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.sum(v**2 + frequency**2 * x**2) / 2

    def exact(t: float) -> dict[str, np.ndarray]:
        decay, c, s = math.exp(-damping * t), np.cos(beat * t), np.sin(beat * t)
        x = start * decay * (c + damping / beat * s)
        v = -start * decay * frequency**2 / beat * s
        return {"heat": energy(start, 0 * start) - energy(x, v), "position": x, "velocity": v}

    return Problem(
        "damped_dictionary",
        field,
        {"heat": np.array(0.0), "position": start, "velocity": np.zeros(2)},
        0.0,
        5.0,
        exact,
        args=(frequency**2, damping),
        tags=frozenset({"pytree", "smooth"}),
    )


def _backwards() -> Problem:
    return Problem(
        "backwards",
        lambda t, y: -2 * t * y**2,
        np.array([0.1]),
        3.0,
        -1.0,
        lambda t: np.array([1 / (1 + t * t)]),
        tags=frozenset({"backwards", "nonlinear"}),
    )


def _narrow_bump() -> Problem:
    """Relaxation towards sin(rate t), disturbed by a Gaussian pulse of width 0.1 at t = 5.3.

    The oscillation keeps steps near the width of the pulse, so that no step jumps over it.
    """
    rate, centre, width, height = 8.0, 5.3, 0.1, 20.0

    def field(t: Any, y: Any) -> Any:
        pulse = height * jnp.exp(-(((t - centre) / width) ** 2))
        return rate * jnp.cos(rate * t) - (y - jnp.sin(rate * t)) + pulse

    def exact(t: float) -> np.ndarray:
        middle = centre + width**2 / 2
        area = erf((t - middle) / width) - erf(-middle / width)
        scale = height * width * math.sqrt(math.pi) / 2 * math.exp(width**2 / 4)
        return np.array([math.sin(rate * t) + scale * math.exp(centre - t) * area])

    return Problem(
        "narrow_bump", field, np.array([0.0]), 0.0, 8.0, exact, tags=frozenset({"narrow"})
    )


def _chain() -> Problem:
    """1,000 dimensions: 500 masses on springs between two walls, three modes excited."""
    masses, stiffness = 500, 40.0
    modes, amplitudes = np.array([1, 7, 150]), np.array([1.0, 0.5, 0.1])
    places = np.arange(1, masses + 1)[:, None]
    shapes = amplitudes * np.sin(np.pi * modes * places / (masses + 1))
    frequencies = 2 * math.sqrt(stiffness) * np.sin(np.pi * modes / (2 * (masses + 1)))

    def field(t: Any, y: Any, k: float) -> Any:
        x = jnp.pad(y[0], 1)
        return jnp.stack([y[1], k * (x[:-2] - 2 * x[1:-1] + x[2:])])

    def exact(t: float) -> np.ndarray:
        x = shapes @ np.cos(frequencies * t)
        v = -shapes @ (frequencies * np.sin(frequencies * t))
        return np.stack([x, v])

    return Problem(
        "chain", field, exact(0.0), 0.0, 5.0, exact, args=(stiffness,), tags=frozenset({"large"})
    )


def _pendulum() -> Problem:
    """Released at rest from 2 radians: sin(angle / 2) = k cd(t, k) with Jacobi's function."""
    start = 2.0
    k = math.sin(start / 2)

    def exact(t: float) -> np.ndarray:
        sn, cn, _, _ = ellipj(t + ellipk(k * k), k * k)
        return np.array([2 * math.asin(k * sn), 2 * k * cn])

    return Problem(
        "pendulum",
        lambda t, y: jnp.stack([y[1], -jnp.sin(y[0])]),
        np.array([start, 0.0]),
        0.0,
        10.0,
        exact,
        tags=frozenset({"nonlinear", "oscillatory"}),
    )


PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        _linear(),
        _logistic(),
        _nonautonomous(),
        _oscillator("oscillator", 5.0, 0.0, 10.0, "oscillatory"),
        _kepler(),
        _lotka_volterra(),
        _brusselator(),
        _van_der_pol(),
        _arenstorf(),
        _prothero_robinson(),
        _complex_rotation(),
        _damped_dictionary(),
        _backwards(),
        _narrow_bump(),
        # At t1 = 1e5, float32 times are 0.008 apart; at 2^20, 0.125.
        _oscillator("long", 1e-3, 0.0, 1e5, "float32"),
        _oscillator("late", 2.0, 2.0**20, 2.0**20 + 16, "float32"),
        _chain(),
        _pendulum(),
    )
}
