"""Representative solves, and what each costs as a program: counted, never timed."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import neurode as nd
from compiling import jit

GRADIENTS = {"Checkpointed": nd.Checkpointed(), "Backsolve": nd.Backsolve()}
LANES, DIM, HIDDEN, SAVES = 8, 4, 16, 5


@dataclass(frozen=True)
class Cost:
    """What a program costs.

    Attributes:
        equations: of the jaxpr, with those of all jaxprs inside it.
        loops: `while` loops that are in no other loop.
        step_equations: of the body of the longest of them.
        carry: arrays carried by the loop that carries most: each costs time in every step.
        flops: floating point operations by XLA's cost analysis, which counts a loop's body once:
            those of one step of every loop, and of what surrounds them.
        bytes: memory read and written, likewise.
        evaluations: of f in the forward solve, all lanes together.
        backward_evaluations: of f in the backward pass, likewise.
    """

    equations: int
    loops: int
    step_equations: int
    carry: int
    flops: float
    bytes: float
    evaluations: int
    backward_evaluations: int

    def as_json(self) -> dict[str, float]:
        """Name -> value."""
        return asdict(self)


def field(t: jax.Array, y: jax.Array, weights: Any) -> jax.Array:
    """A network of one hidden layer."""
    return jnp.tanh(y @ weights[0]) @ weights[1]


def forward(y0: jax.Array, weights: Any, probe: jax.Array) -> tuple:
    """The rows and the evaluations of f."""
    del probe
    sol = nd.solve(field, y0, jnp.linspace(0.0, 2.0, SAVES), (weights,), rtol=1e-3, atol=1e-3)
    return sol.ys, sol.stats.num_f_evals


def gradient(strategy: Any) -> Callable:
    """The gradient of the rows' mean square; the probe's are the backward evaluations."""

    def loss(y0, weights, probe):
        ts = jnp.linspace(0.0, 2.0, SAVES)
        sol = nd.solve(
            field, y0, ts, (weights,), rtol=1e-3, atol=1e-3, gradient=strategy, probe=probe
        )
        return jnp.mean(jnp.square(sol.ys)), sol.stats.num_f_evals

    return jax.grad(loss, (0, 1, 2), has_aux=True)


def in_lanes(strategy: Any) -> Callable:
    """The gradient of the sum over lanes that share their weights, as training takes it."""

    def loss(y0, weights, probe):
        ts = jnp.linspace(0.0, 2.0, SAVES)

        def one(y0, probe):
            sol = nd.solve(
                field, y0, ts, (weights,), rtol=1e-3, atol=1e-3, gradient=strategy, probe=probe
            )
            return jnp.mean(jnp.square(sol.ys)), sol.stats.num_f_evals

        values, evals = jax.vmap(one)(y0, probe)
        return jnp.sum(values), evals

    return jax.grad(loss, (0, 1, 2), has_aux=True)


PROGRAMS = {
    "forward": forward,
    "forward, lanes": jax.vmap(forward, (0, None, 0)),
    **{name: gradient(strategy) for name, strategy in GRADIENTS.items()},
    **{f"{name}, lanes": in_lanes(strategy) for name, strategy in GRADIENTS.items()},
}


def cost(name: str) -> Cost:
    """Trace, compile and run a program of `PROGRAMS`, and count."""
    keys = jax.random.split(jax.random.key(0), 3)
    y0 = jax.random.normal(keys[0], (LANES, DIM))
    weights = (
        jax.random.normal(keys[1], (DIM, HIDDEN)) / DIM**0.5,
        jax.random.normal(keys[2], (HIDDEN, DIM)) / HIDDEN**0.5,
    )
    probe = jnp.zeros(LANES)
    if "lanes" not in name:
        y0, probe = y0[0], probe[0]
    traced = jit(PROGRAMS[name]).trace(y0, weights, probe)
    loops = list(outermost_loops(traced.jaxpr.jaxpr))
    compiled = traced.lower().compile()
    analysis = compiled.cost_analysis()
    answer, evals = compiled(y0, weights, probe)
    backward = 0.0 if name.startswith("forward") else np.sum(answer[2])
    return Cost(
        equations=equations(traced.jaxpr.jaxpr),
        loops=len(loops),
        step_equations=max(equations(loop.params["body_jaxpr"].jaxpr) for loop in loops),
        carry=max(len(loop.outvars) for loop in loops),
        flops=analysis["flops"],
        bytes=analysis["bytes accessed"],
        evaluations=int(np.sum(evals)),
        backward_evaluations=int(backward),
    )


def inner(equation: Any) -> Iterator[Any]:
    """The jaxprs inside an equation: bodies of loops, branches, called functions."""
    for value in equation.params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            jaxpr = getattr(item, "jaxpr", item)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def equations(jaxpr: Any) -> int:
    """All equations, those inside of others too."""
    return sum(1 + sum(map(equations, inner(equation))) for equation in jaxpr.eqns)


def outermost_loops(jaxpr: Any) -> Iterator[Any]:
    """The `while` equations that are inside of no other."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "while":
            yield equation
        else:
            for found in inner(equation):
                yield from outermost_loops(found)
