"""The tables of docs/guides/choose-a-gradient.md: every gradient strategy, measured.

    python -m benchmarks.gradients [--page docs/guides/choose-a-gradient.md]

Float64. An error is that of the gradient of the last state (weighted), with respect to the initial
state and the parameters, relative to a gradient by Dopri8 at a tolerance of 1e-12; memory is the
temporaries of the compiled program of value and gradient. No time is measured.
"""

import argparse
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import neurode as nd

MARKS = "<!-- measured: {} -->", "<!-- end -->"


@dataclass(frozen=True, eq=False)
class Problem:
    """An ODE with a parameter, and how it is solved."""

    title: str
    f: Any
    y0: Any
    p: Any
    t1: float
    solver: Any = nd.Tsit5()
    reversible: Any = nd.ReversibleRK(nd.Tsit5())
    options: dict = field(default_factory=lambda: dict(rtol=1e-7, atol=1e-9, max_steps=4096))
    adjoint: Any = None


def pendulum(t, y, p):
    return jnp.stack([y[1], -p * jnp.sin(y[0])])


def lorenz(t, y, p):
    x, v, z = y
    return jnp.stack([10 * (v - x), x * (p - z) - v, x * v - 8 / 3 * z])


def van_der_pol(t, y, p):
    return jnp.stack([y[1], p * (1 - y[0] ** 2) * y[1] - y[0]])


def network(t, y, p):
    return p["out"] @ jnp.tanh(p["in"] @ y + jnp.cos(t))


def forgets(t, y, p):
    return jnp.stack([-p * (y[0] - jnp.cos(t)), y[0] * jnp.sin(y[1])])


def weights():
    draw = np.random.default_rng(0)
    return {"in": draw.normal(size=(16, 4)), "out": draw.normal(size=(4, 16)) / 4}


PROBLEMS = [
    Problem("network", network, np.array([1.0, -0.5, 0.3, 0.8]), weights(), 2.0),
    Problem("chaotic: Lorenz", lorenz, np.array([1.0, 1.0, 1.0]), 28.0, 6.0),
    Problem(
        "stiff: van der Pol", van_der_pol, np.array([2.0, 0.0]), 50.0, 30.0, nd.Rodas5P(),
        nd.ReversibleRK(nd.Tsit5()), dict(rtol=1e-7, atol=1e-9, max_steps=8192), nd.Rodas5P(),
    ),
    Problem("dissipative", forgets, np.array([0.5, 0.3]), 30.0, 1.0),
    Problem(
        "10,000 steps: pendulum", pendulum, np.array([1.0, 0.0]), 1.7, 100.0, nd.RK4(),
        nd.ReversibleRK(nd.RK4()), dict(stepsize=nd.ConstantSteps(10_000)),
    ),
]  # fmt: skip
STRATEGIES = ("Checkpointed", "Direct", "Forward", "Reversible", "Interpolated", "Backsolve")


def make(name, problem):
    """A strategy and the solver it is measured with, or why it is not."""
    if name in ("Interpolated", "Backsolve"):
        solver = problem.adjoint or problem.solver
        back = nd.Tsit5() if solver.why_no_adjoints else None
        return getattr(nd, name)(solver=back), problem.solver
    return getattr(nd, name)(), problem.reversible if name == "Reversible" else problem.solver


def loss(problem, gradient, solver, options, y0, p, probe):
    ts = np.array([0.0, problem.t1])
    sol = nd.solve(
        problem.f, y0, ts, (p,), solver=solver, gradient=gradient, probe=probe, **options
    )
    last = sol.ys[-1]
    return last @ jnp.cos(jnp.arange(len(last))), sol.stats.num_f_evals


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def reference(problem):
    tight = dict(rtol=1e-12, atol=1e-13, max_steps=200_000)
    run = functools.partial(loss, problem, nd.Checkpointed(), nd.Dopri8(), tight)
    return flat(jax.jit(jax.grad(run, (0, 1), has_aux=True))(problem.y0, problem.p, None)[0])


def measure(name, problem, exact):
    """(error, backward evaluations over forward ones) of a strategy."""
    gradient, solver = make(name, problem)
    run = functools.partial(loss, problem, gradient, solver, problem.options)
    if name == "Forward":
        found, _ = jax.jit(jax.jacfwd(run, (0, 1), has_aux=True))(problem.y0, problem.p, None)
        share = None
    else:
        found, evals = jax.jit(jax.grad(run, (0, 1, 2), has_aux=True))(problem.y0, problem.p, 0.0)
        share = float(found[2]) / float(evals)
        found = found[:2]
    found = flat(found)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact)), share


def memory(name, count):
    """Bytes of temporaries for a state of 1,000 numbers and so many equal steps."""
    solver = nd.ReversibleRK(nd.Midpoint()) if name == "Reversible" else nd.Midpoint()
    gradient = getattr(nd, name)()

    def last(y0, scale):
        options = dict(solver=solver, stepsize=nd.ConstantSteps(count), gradient=gradient)
        f = lambda t, y, s: -s * jnp.sin(y)  # noqa: E731
        return nd.solve(f, y0, np.array([0.0, 1.0]), (scale,), **options).ys[-1].sum()

    derivative = jax.jacfwd(last, 1) if name == "Forward" else jax.grad(last, 1)
    compiled = jax.jit(derivative).lower(jnp.ones(1000), 1.0).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def error_table():
    lines = [
        "| error of the gradient | " + " | ".join(p.title for p in PROBLEMS) + " |",
        "| --- |" + " --- |" * len(PROBLEMS),
    ]
    exact = [reference(problem) for problem in PROBLEMS]
    shares = {}
    for name in STRATEGIES:
        cells = []
        for problem, wanted in zip(PROBLEMS, exact, strict=True):
            error, share = measure(name, problem, wanted)
            shares.setdefault(name, []).append(share)
            cells.append(f"{error:.1e}" if np.isfinite(error) else "NaN")
            print(f"{name}, {problem.title}: {cells[-1]}, {share}", flush=True)
        lines.append(f"| `{name}()` | " + " | ".join(cells) + " |")
    return "\n".join(lines), shares


def cost_table(shares):
    lines = [
        "| | backward / forward evaluations | memory, 100 steps | memory, 10,000 steps |",
        "| --- | --- | --- | --- |",
    ]
    for name in STRATEGIES:
        known = [share for share in shares[name] if share is not None]
        share = f"{min(known):.1f} to {max(known):.1f}" if known else "per direction"
        few, many = (f"{memory(name, count) / 1e3:,.0f} kB" for count in (100, 10_000))
        print(name, few, many, flush=True)
        lines.append(f"| `{name}()` | {share} | {few} | {many} |")
    return "\n".join(lines)


def put(text, name, table):
    """The page with a table in the place that is marked for it."""
    start, end = MARKS[0].format(name), MARKS[1]
    head, _, rest = text.partition(start)
    return f"{head}{start}\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=Path("docs/guides/choose-a-gradient.md"))
    page = parser.parse_args().page
    jax.config.update("jax_enable_x64", True)
    errors, shares = error_table()
    costs = cost_table(shares)
    text = page.read_text(encoding="utf-8")
    page.write_text(put(put(text, "errors", errors), "costs", costs), encoding="utf-8")


if __name__ == "__main__":
    main()
