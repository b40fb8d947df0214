"""What `neurode.diagnose` says of some forty problems, each of which has one thing wrong, or none.

    python -m benchmarks.diagnosing [NAME ...]

Prints OK where the finding that is wanted is there (or none, of a harmless problem), else BAD with
the whole diagnosis. About ten minutes of one core for all.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import neurode as nd

PROBLEMS: dict[str, tuple] = {}
"""By name: the finding that is wanted, f, y0, ts, args, and options of `diagnose`."""


def add(kind: str | None, name: str, f: Any, y0: Any, ts: Any, args: tuple = (), **options) -> None:
    """Add a problem; its state in single precision."""
    y0 = np.asarray(y0, np.float32) if isinstance(y0, (list, float)) else y0
    PROBLEMS[name] = (kind, f, y0, np.asarray(ts, np.float32), args, options)


INTO, OUT = (
    np.random.default_rng(i).normal(size=shape).astype("float32")
    for i, shape in enumerate([(4, 16), (16, 4)])
)


def prey(t, y):
    """Lotka and Volterra."""
    return jnp.array([1.1 * y[0] - 0.4 * y[0] * y[1], 0.1 * y[0] * y[1] - 0.4 * y[1]])


def swing(t, y):
    """A pendulum."""
    return jnp.array([y[1], -jnp.sin(y[0])])


add(None, "lotka", prey, [10.0, 5.0], [0.0, 10.0])
add(None, "pendulum", swing, [1.0, 0.0], np.linspace(0, 10, 50))
add(None, "decay", lambda t, y: -y, 1.0, [0.0, 5.0])
add(None, "decay20", lambda t, y: -y, 1.0, [0.0, 20.0])
add(None, "logistic", lambda t, y, r: r * y * (1 - y), 0.1, [0.0, 10.0], (1.0,))
add(None, "forced", lambda t, y: -y + jnp.sin(3 * t), 0.0, [0.0, 20.0])
add(
    None,
    "relu net",
    lambda t, y: jnp.tanh(jax.nn.relu(y @ INTO) @ OUT / 4),
    np.ones(4, "float32"),
    [0.0, 1.0],
)
add(
    None,
    "kepler",
    lambda t, y: jnp.concatenate([y[2:], -y[:2] / jnp.sum(y[:2] ** 2) ** 1.5]),
    np.array([1.0, 0, 0, 1.0]),
    [0.0, 6.0],
)
add(None, "growth", lambda t, y: y, 1.0, [0.0, 10.0])
add(None, "complex", lambda t, y: (1j - 0.1) * y, 1 + 0j, [0.0, 10.0])
add(None, "backwards", lambda t, y: {"a": -0.3 * y["a"]}, {"a": np.ones(2, "float32")}, [3.0, 0.0])
add(
    "stiffness",
    "vdp100",
    lambda t, y: jnp.array([y[1], 100 * ((1 - y[0] ** 2) * y[1]) - y[0]]),
    [2.0, 0.0],
    [0.0, 200.0],
)
add(
    "stiffness",
    "robertson",
    lambda t, y: jnp.array(
        [
            -0.04 * y[0] + 1e4 * y[1] * y[2],
            0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2,
            3e7 * y[1] ** 2,
        ]
    ),
    [1.0, 0.0, 0.0],
    [0.0, 1000.0],
)
add("stiffness", "cos1000", lambda t, y: -1000 * (y - jnp.cos(t)), 0.0, [0.0, 10.0])
add(
    "stiffness",
    "linear stiff",
    lambda t, y: jnp.array([[-1.0, 0], [0, -2000.0]]) @ y,
    [1.0, 1.0],
    [0.0, 5.0],
)
add(
    "stiffness",
    "heat",
    lambda t, y: 400 * (jnp.roll(y, 1) - 2 * y + jnp.roll(y, -1)),
    np.sin(np.linspace(0, 2 * np.pi, 20, endpoint=False)),
    [0.0, 2.0],
)
add(
    "unstable backward solve",
    "forget2",
    lambda t, y: jnp.stack([-30 * (y[0] - jnp.cos(t)), y[0] * jnp.sin(y[1])]),
    [0.5, 0.3],
    [0.0, 1.0],
)
add("unstable backward solve", "cubic", lambda t, y: -(y**3) * 5, 3.0, [0.0, 10.0])
add(
    "unstable backward solve",
    "lorenz",
    lambda t, y: jnp.array(
        [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]]
    ),
    [1.0, 1.0, 1.0],
    [0.0, 15.0],
)
add(
    "unstable backward solve",
    "damped osc",
    lambda t, y: jnp.array([y[1], -y[0] - 3 * y[1] + 0.2 * jnp.sin(y[0] * 3)]),
    [1.0, 0.0],
    [0.0, 30.0],
)
add(
    "unstable backward solve",
    "fitzhugh",
    lambda t, y: jnp.array([y[0] - y[0] ** 3 / 3 - y[1] + 0.5, 0.08 * (y[0] + 0.7 - 0.8 * y[1])]),
    [-1.0, 1.0],
    [0.0, 60.0],
)
add("discontinuity", "step in t", lambda t, y: -y + jnp.where(t > 1.234, 1.0, 0.0), 1.0, [0.0, 3.0])
add(
    "discontinuity",
    "switch in y",
    lambda t, y: jnp.array([y[1], jnp.where(y[0] > 0, -1.0, -3.0)]),
    [1.0, 0.0],
    [0.0, 5.0],
)
add("discontinuity", "square wave", lambda t, y: -y + jnp.sign(jnp.sin(5 * t)), 1.0, [0.0, 10.0])
add("discontinuity", "sliding", lambda t, y: -jnp.sign(y), 1.0, [0.0, 2.0])
add(
    "discontinuity", "dose", lambda t, y: -0.5 * y + 10 * (jnp.mod(t, 3.0) < 0.01), 0.0, [0.0, 12.0]
)
add(
    "discontinuity",
    "thermostat",
    lambda t, y: -0.2 * (y - 5) + jnp.where(y < 20, 5.0, 0.0),
    15.0,
    [0.0, 20.0],
)
add("tolerance below precision", "tight32", prey, [10.0, 5.0], [0.0, 10.0], rtol=1e-8, atol=1e-10)
add("tolerance below precision", "tight32b", swing, [1.0, 0.0], [0.0, 10.0], rtol=1e-7, atol=1e-9)
add(
    "tolerance below precision",
    "big offset",
    lambda t, y: jnp.array([y[1], -1e-3 * (y[0] - 1e5)]),
    [1e5 + 10.0, 0.0],
    [0.0, 50.0],
    rtol=0.0,
    atol=1e-4,
)
add("blow-up", "y2", lambda t, y: y**2, 1.0, [0.0, 2.0])
add("blow-up", "tan", lambda t, y: 1 + y**2, 0.0, [0.0, 3.0])
add("blow-up", "exp", lambda t, y: jnp.exp(y), 0.0, [0.0, 2.0])
add("blow-up", "overflow", lambda t, y: y, 1.0, [0.0, 200.0])
add("blow-up", "cubic2d", lambda t, y: jnp.array([y[1], y[0] ** 3]), [1.0, 1.0], [0.0, 5.0])
add("undefined", "sqrt", lambda t, y: -jnp.sqrt(y), 1.0, [0.0, 3.0])
add(
    "wasted budget",
    "heun tight",
    swing,
    [1.0, 0.0],
    [0.0, 10.0],
    solver=nd.HeunEuler(),
    rtol=1e-5,
    atol=1e-7,
)
add(
    "wasted budget",
    "rk4 10000",
    swing,
    [1.0, 0.0],
    [0.0, 10.0],
    solver=nd.RK4(),
    stepsize=nd.ConstantSteps(10000),
)
add("wasted budget", "small budget", prey, [10.0, 5.0], [0.0, 100.0], max_steps=50)
add(
    "wasted budget",
    "max_step",
    prey,
    [10.0, 5.0],
    [0.0, 10.0],
    stepsize=nd.IController(max_step=0.002),
    max_steps=10000,
)
add(
    "wasted budget",
    "euler",
    lambda t, y: -y,
    1.0,
    [0.0, 5.0],
    solver=nd.Euler(),
    stepsize=nd.ConstantSteps(20000),
)


def main() -> None:
    """Diagnose the problems named on the command line, or all."""
    for name, (kind, f, y0, ts, args, options) in PROBLEMS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        found = nd.diagnose(f, y0, ts, args, **options)
        is_right = kind in found.kinds if kind else not found.kinds
        print("OK " if is_right else "BAD", kind, "|", name, "->", found.kinds, flush=True)
        if not is_right:
            print(found)


if __name__ == "__main__":
    main()
