"""A problem that uses every way into a solve, and derivatives of it by differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import neurode as nd

STRATEGIES = {
    "Direct": nd.Direct(),
    "Checkpointed": nd.Checkpointed(),
    "Backsolve": nd.Backsolve(),
}
MAX_ERROR = {"Direct": 1e-6, "Checkpointed": 1e-6, "Backsolve": 1e-5}


class Network(eqx.Module):
    weight: jax.Array
    name: str = "a leaf that is no array"

    def __call__(self, x):
        return jnp.tanh(self.weight @ x)


class Field(eqx.Module):
    """y is a complex z and a real x, each driving the other."""

    network: Network

    def __call__(self, t, y, rate):
        z, x = y["z"], y["x"]
        return {
            "z": (1j * rate - 0.3) * z + 0.2 * x[0] * jnp.cos(t),
            "x": self.network(x) * jnp.real(z),
        }


def inputs():
    """Everything that a gradient can be asked for, as real arrays."""
    return {
        "y0": jnp.array([0.9, -0.4, 0.5, 0.8]),
        "args": jnp.array(1.3),
        "closure": jnp.array(0.4),
        "module": jnp.array([[0.3, -0.8], [0.7, 0.2]]),
        "ts": jnp.array([0.1, 0.4, 0.9, 1.5, 2.0]),
    }


# Times to solve for: rows that are spread, backwards, repeated, at the ends, all the same.
TIMES = np.array(
    [
        [0.1, 0.4, 0.9, 1.5, 2.0],
        [1.5, 1.2, 0.8, 0.1, -0.3],
        [0.0, 0.7, 0.7, 0.7, 1.6],
        [0.5, 0.5, 1.0, 1.7, 1.7],
        [0.6, 0.6, 0.6, 0.6, 0.6],
    ]
)
WEIGHTS = np.random.default_rng(0).normal(size=(5, 4))


def state(y0):
    return {"z": jax.lax.complex(y0[0], y0[1]), "x": y0[2:]}


def observed(y):
    return jnp.stack([jnp.real(y["z"]), jnp.imag(y["z"]) ** 2, y["x"][0], jnp.sin(y["x"][1])])


def field_of(p):
    """f as a closure over a Module and over an array."""
    module, shift = Field(Network(p["module"])), p["closure"]

    def f(t, y, rate):
        dy = module(t, y, rate)
        return dy | {"x": dy["x"] + shift * jnp.sin(3 * t)}

    return f


def loss(p, **options):
    """A sum over all rows, the first included."""
    options = dict(rtol=1e-9, atol=1e-9, max_steps=256) | options
    sol = nd.solve(field_of(p), state(p["y0"]), p["ts"], (p["args"],), **options)
    return jnp.sum(WEIGHTS * jax.vmap(observed)(sol.ys))


def reference_loss(p):
    """The same to 1e-12; each row by a solve of its own, so that any time may be perturbed."""

    def row(t):
        ts = jnp.stack([p["ts"][0], t])
        return nd.solve(
            field_of(p), state(p["y0"]), ts, (p["args"],), solver=nd.Dopri8(),
            rtol=1e-12, atol=1e-13,
        ).ys  # fmt: skip

    rows = jax.vmap(row)(p["ts"][1:])
    first = jax.tree.map(lambda x: x[0, 0], rows)
    total = jnp.sum(WEIGHTS[0] * observed(first))
    last = jax.vmap(observed)(jax.tree.map(lambda x: x[:, 1], rows))
    return total + jnp.sum(WEIGHTS[1:] * last)


def differences(function, p, step=2e-3):
    """The gradient of a scalar function of a pytree, by central differences of fourth order.

    `function` is called once, with a leading axis of perturbations.
    """
    flat, unflatten = ravel_pytree(p)
    offsets = step * jnp.array([-2.0, -1.0, 1.0, 2.0])
    weights = jnp.array([1.0, -8.0, 8.0, -1.0]) / (12 * step)
    moved = flat + offsets[:, None, None] * jnp.eye(flat.size)
    values = function(jax.vmap(unflatten)(moved.reshape(-1, flat.size)))
    return unflatten(weights @ values.reshape(4, -1))


def errors(found, expected):
    """Relative errors of a gradient, one per kind of input; t0, inner ts and t1 on their own."""

    def relative(a, b):
        a, b = np.asarray(a), np.asarray(b)
        return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-2))

    result = {name: relative(found[name], expected[name]) for name in found if name != "ts"}
    for name, part in (
        ("t0", np.s_[..., 0]),
        ("inner ts", np.s_[..., 1:-1]),
        ("t1", np.s_[..., -1]),
    ):
        if "ts" in found and np.size(found["ts"][part]):
            result[name] = relative(found["ts"][part], expected["ts"][part])
    return result
