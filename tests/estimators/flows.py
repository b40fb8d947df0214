"""Small settings under which flows fit in seconds."""

import numpy as np

QUICK = {
    "hidden": 8,
    "steps": 150,
    "batch_size": 256,
    "learning_rate": 1e-2,
}


def two_lumps(n, seed=0):
    """Rows around two places, in units of their own: km and degrees."""
    rng = np.random.default_rng(seed)
    side = rng.choice([-1.0, 1.0], n)
    z = np.stack([side + 0.3 * rng.normal(size=n), -side + 0.3 * rng.normal(size=n)], axis=1)
    return np.array([1000.0, 5.0]) + np.array([20.0, 0.1]) * z


def true_log_density(x):
    """Of `two_lumps`."""
    z = (x - np.array([1000.0, 5.0])) / np.array([20.0, 0.1])
    parts = [
        -np.sum((z - np.array([s, -s])) ** 2, axis=1) / (2 * 0.09) - np.log(2 * np.pi * 0.09)
        for s in (-1, 1)
    ]
    return np.logaddexp(*parts) - np.log(2) - np.log(20 * 0.1)
