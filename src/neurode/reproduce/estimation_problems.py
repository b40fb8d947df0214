"""The ODEs of the study on parameter estimation, and data simulated from them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from neurode.data import SeriesBatch
from neurode.ivp import solve


class Problem(NamedTuple):
    """An ODE with known parameters.

    Attributes:
        title: its name.
        ode: `ode(t, y, p)`.
        truth: the parameters.
        start: the true initial state.
        end: of the time that is observed, from 0.
        times: that are observed.
        names: of the variables.
        is_positive: whether states are never negative, so that no search starts from one that is.
    """

    title: str
    ode: Callable
    truth: dict[str, float]
    start: tuple[float, ...]
    end: float
    times: int
    names: tuple[str, ...]
    is_positive: bool = True

    def first(self, series: SeriesBatch) -> np.ndarray:
        """The state at which a search starts: what was observed first, [1, d]."""
        first, ys = np.asarray(series.ys[:, 0]), np.asarray(series.ys)
        return np.maximum(first, 0.01 * np.abs(ys).max(axis=1)) if self.is_positive else first


def fitzhugh_nagumo(t, y, p):
    """Ramsay, Hooker, Campbell and Cao (2007), equation (2)."""
    return [p.c * (y[0] - y[0] ** 3 / 3 + y[1]), -(y[0] - p.a + p.b * y[1]) / p.c]


def lotka_volterra(t, y, p):
    """Prey and predator."""
    return [p.alpha * y[0] - p.beta * y[0] * y[1], p.delta * y[0] * y[1] - p.gamma * y[1]]


def sir(t, y, p):
    """Kermack and McKendrick (1927), in shares of the population."""
    return [-p.beta * y[0] * y[1], p.beta * y[0] * y[1] - p.gamma * y[1], p.gamma * y[1]]


def alpha_pinene(t, y, p):
    """Box, Hunter, MacGregor and Erjavec (1973): isomerisation, in percent; time in 10,000 min."""
    return [
        -(p.p1 + p.p2) * y[0],
        p.p1 * y[0],
        p.p2 * y[0] - (p.p3 + p.p4) * y[2] + p.p5 * y[4],
        p.p3 * y[2],
        p.p4 * y[2] - p.p5 * y[4],
    ]


PROBLEMS: dict[str, Problem] = {
    "FitzHugh-Nagumo": Problem(
        "FitzHugh-Nagumo",
        fitzhugh_nagumo,
        {"a": 0.2, "b": 0.2, "c": 3.0},
        (-1.0, 1.0),
        20.0,
        41,
        ("V", "R"),
        is_positive=False,
    ),
    "Lotka-Volterra": Problem(
        "Lotka-Volterra",
        lotka_volterra,
        {"alpha": 0.55, "beta": 0.028, "gamma": 0.8, "delta": 0.024},
        (33.0, 6.0),
        20.0,
        41,
        ("prey", "predator"),
    ),
    "SIR": Problem(
        "SIR",
        sir,
        {"beta": 0.4, "gamma": 0.12},
        (0.99, 0.01, 0.0),
        60.0,
        31,
        ("S", "I", "R"),
    ),
    "alpha-pinene": Problem(
        "alpha-pinene",
        alpha_pinene,
        {"p1": 0.593, "p2": 0.296, "p3": 0.205, "p4": 2.75, "p5": 0.40},
        (100.0, 0.0, 0.0, 0.0, 0.0),
        3.642,
        25,
        ("y1", "y2", "y3", "y4", "y5"),
    ),
}


def solve_truth(problem: Problem, ts: np.ndarray) -> np.ndarray:
    """The true trajectory at times from 0 on, [T, d]."""
    from neurode.estimators.odes import wrap_ode
    from neurode.models import Parameters

    with jax.enable_x64(True):
        p = Parameters(problem.truth)
        ode = wrap_ode(problem.ode, len(problem.start))
        found = solve(lambda t, y: ode(t, y, p), np.array(problem.start), ts, rtol=1e-9, atol=1e-9)
        return np.asarray(found.ys)


def simulate(problem: Problem, noise: float, count: int, seed: int) -> list[SeriesBatch]:
    """Data sets: the true trajectory with Gaussian noise of a share of each variable's spread."""
    ts = np.linspace(0, problem.end, problem.times)
    truth = solve_truth(problem, ts)
    size = noise * truth.std(axis=0)
    random = np.random.default_rng([seed, round(1000 * noise), *problem.title.encode()])
    with jax.enable_x64(True):
        return [
            SeriesBatch.from_arrays(
                ts, truth + size * random.standard_normal(truth.shape), names=problem.names
            )
            for _ in range(count)
        ]


def stack_lanes(problems: list[Any]) -> Any:
    """Posed problems of one kind as lanes of one: their arrays stacked, the rest of the first."""
    arrays = [eqx.filter(problem, eqx.is_array) for problem in problems]
    leaves = zip(*map(jax.tree.leaves, arrays), strict=True)
    stacked = [np.stack([np.asarray(x) for x in same]) for same in leaves]
    tree = jax.tree.structure(arrays[0])
    rest = eqx.filter(problems[0], eqx.is_array, inverse=True)
    with jax.enable_x64(True):
        return eqx.combine(jax.tree.unflatten(tree, map(jax.numpy.asarray, stacked)), rest)


def split_lanes(stacked: Any, count: int) -> list[Any]:
    """The lanes again, each of its own, with arrays of NumPy."""
    arrays, rest = eqx.partition(stacked, eqx.is_array)
    arrays = jax.device_get(arrays)
    return [eqx.combine(jax.tree.map(lambda x: x[i], arrays), rest) for i in range(count)]  # noqa: B023
