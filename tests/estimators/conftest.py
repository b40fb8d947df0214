import numpy as np
import pytest

from estimators.odes import logistic, logistic_solution
from neurode.estimators import NeuralODE


@pytest.fixture(scope="session")
def grown():
    """One growing population, and `logistic` fitted to it."""
    ts = np.linspace(1900, 1910, 21)
    ys = logistic_solution(ts - 1900, 0.9, 30.0, 2.0) + 0.3 * np.sin(5 * ts)
    model = NeuralODE(
        logistic, parameters={"r": 0.5, "K": 20.0}, positive=["r"], bounds={"K": (1, 100)}
    )
    return ts, ys, model.fit(ts, ys, names=["animals"])


@pytest.fixture(scope="session")
def spirals():
    """Irregular, ragged, partly observed damped rotations in large units, and later times."""
    rng = np.random.default_rng(0)

    def solution(ts, angle):
        z = 50 * np.exp((-0.15 + 1.2j) * (ts - 2000) / 10 + 1j * angle)
        return np.stack([100 + z.real, z.imag], axis=-1)

    past, later = [], []
    for angle, count in ((0.0, 40), (1.0, 30), (3.5, 35)):
        ts = np.sort(rng.uniform(2000, 2080, count))
        ys = solution(ts, angle)
        ys[rng.random(ys.shape) < 0.1] = np.nan
        past.append((ts, ys))
        times = np.linspace(2080, 2110, 16)
        later.append((times, solution(times, angle)))
    return past, later


@pytest.fixture(scope="session")
def learned(spirals):
    """A small network fitted to the spirals."""
    model = NeuralODE(hidden=(16,), steps=1200, learning_rate=1e-2, weight_decay=0.0)
    return model.fit(spirals[0], names=["x", "y"])
