"""The pictures of docs/guides/choose-a-solver.md: error against cost, and the drift of an energy.

    python -m benchmarks.work_precision [stiff] [nonstiff] [energy]

One thread, float64. Writes docs/images/work-precision-stiff.png, work-precision-nonstiff.png and
energy-drift.png, and prints the numbers behind them. Times are kept in .cache/work_precision.
"""

import os

if __name__ == "__main__":
    THREADS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {THREADS}".strip()

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import ode, solve_ivp

import neurode as nd
from benchmarks import stiff
from neurode.report import style
from neurode.report.strokes import add_legend

CACHE = Path(__file__).parent.parent / ".cache" / "work_precision"
IMAGES = Path(__file__).parent.parent / "docs" / "images"
STIFF_TOLERANCES = 10.0 ** -np.arange(3, 9)
TOLERANCES = 10.0 ** -np.arange(3, 11)
ROLES = ("model", "second", "third", "fourth", "baseline", "data")


def kept(name: str, measure: Any) -> dict:
    """What was measured before, or is measured now: a run that was interrupted goes on."""
    path = CACHE / f"{name}.json"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measure(name)), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def stiff_curves(name: str) -> dict[str, list[tuple[float, float]]]:
    """(relative error, seconds) per tolerance, for each solver."""
    problem = stiff.PROBLEMS[name]
    answer = stiff.reference(problem)
    curves: dict[str, Any] = {}

    def relative(y):
        return float(np.max(np.abs(np.asarray(y) - answer) / np.abs(answer).clip(1e-30)))

    def measure(call, y):
        """An untimed call first: it compiles, or imports."""
        return relative(y(call())), stiff.best_of(call, 0.1)

    for label, solver in stiff.SOLVERS.items():
        calls = [stiff.by_neurode(problem, solver, rtol) for rtol in STIFF_TOLERANCES]
        curves[label] = [measure(call, lambda sol: sol.ys[-1]) for call in calls]
    for method in ("Radau", "BDF"):
        calls = [partial(stiff.by_scipy, problem, method, rtol) for rtol in STIFF_TOLERANCES]
        curves[f"SciPy {method}"] = [measure(call, lambda found: found[0]) for call in calls]
    return curves


def lotka_volterra(t, y):
    """Predator and prey."""
    return jnp.stack([y[0] * (1.5 - y[1]), y[1] * (y[0] - 3.0)])


def kepler(t, y):
    """A planet of eccentricity 0.3."""
    cube = (y[0] ** 2 + y[1] ** 2) ** 1.5
    return jnp.stack([y[2], y[3], -y[0] / cube, -y[1] / cube])


NONSTIFF = {
    "Lotka-Volterra": (lotka_volterra, np.array([1.0, 1.0]), 10.0),
    "Kepler": (kepler, np.array([0.7, 0.0, 0.0, np.sqrt(1.3 / 0.7)]), 20.0),
}


def nonstiff_curves(name: str) -> dict[str, list[tuple[float, float]]]:
    """(relative error, evaluations of f) per tolerance, for each solver."""
    f, y0, t1 = NONSTIFF[name]
    tight = nd.solve(f, y0, [0.0, t1], solver=nd.Dopri8(), rtol=1e-13, atol=1e-13, max_steps=10**5)
    answer = np.asarray(tight.ys[-1])
    fast = jax.jit(f)
    curves: dict[str, Any] = {}

    def relative(y):
        return float(np.max(np.abs(np.asarray(y) - answer)) / np.max(np.abs(answer)))

    for solver in (nd.Adams(), nd.Tsit5(), nd.Dopri8()):
        label = type(solver).__name__
        curves[label] = []
        for tol in TOLERANCES:
            sol = nd.solve(
                f, y0, [0.0, t1], solver=solver, rtol=tol, atol=tol, max_steps=10**5, throw=False
            )
            curves[label].append((relative(sol.ys[-1]), int(sol.stats.num_f_evals)))
    curves["SciPy VODE"], curves["SciPy LSODA"] = [], []
    for tol in TOLERANCES:
        count = [0]

        def counted(t, y, count=count):
            count[0] += 1
            return np.asarray(fast(t, y))

        vode = ode(counted).set_integrator("vode", method="adams", rtol=tol, atol=tol, nsteps=10**5)
        y = vode.set_initial_value(y0, 0.0).integrate(t1)
        curves["SciPy VODE"].append((relative(y), count[0]))
        found = solve_ivp(
            lambda t, y: np.asarray(fast(t, y)), (0, t1), y0, "LSODA", rtol=tol, atol=tol
        )
        curves["SciPy LSODA"].append((relative(found.y[:, -1]), found.nfev))
    return curves


def draw(axes: Any, title: str, curves: dict, cost: str) -> None:
    """One panel: error to the right is smaller, so that down and right is better."""
    for role, (label, points) in zip(ROLES, curves.items(), strict=False):
        errors, costs = np.array(points).T
        order = np.argsort(-errors)
        axes.loglog(
            errors[order], costs[order], label=label, color=style.COLOURS[role],
            linestyle=style.LINES[role], marker=style.MARKERS[role], markersize=3.5,
        )  # fmt: skip
        print(title, label, [f"{e:.1e} {c:.3g}" for e, c in points], flush=True)
    axes.set_title(title)
    axes.set_xlabel("relative error at the end")
    axes.set_ylabel(cost)
    axes.invert_xaxis()
    axes.set_xlim(left=min(10, axes.get_xlim()[0]))  # beyond, an answer is none


def grid(rows: int, columns: int) -> tuple[Figure, Any]:
    """A figure across the page."""
    figure = Figure(figsize=(style.WIDTH, 2.9 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def energy_drift(axes: Any) -> None:
    """The energy of an orbit of eccentricity 1/2, over a thousand periods."""
    periods, per_period = 1000, 100
    planet = nd.Hamiltonian(lambda t, p: p, lambda t, q: q / jnp.sum(q**2) ** 1.5)
    start = (np.array([0.5, 0.0]), np.array([0.0, np.sqrt(3.0)]))
    ends = np.unique(np.round(np.geomspace(1, periods, 40)))
    part = np.arange(-15, 1) / 16  # the energy is looked at all along a revolution
    ts = 2 * np.pi * (ends[:, None] + part).reshape(-1)
    ts = np.concatenate([[0.0], ts])

    def energy(y):
        q, p = y
        return jnp.sum(p**2) / 2 - 1 / jnp.sqrt(jnp.sum(q**2))

    at_start = float(energy(start))
    runs = {
        "Leapfrog": (nd.Leapfrog(), nd.ConstantSteps(4 * per_period * periods), 4),
        "ForestRuth": (nd.ForestRuth(), nd.ConstantSteps(4 * per_period * periods // 3), 4),
        "Yoshida6": (nd.Yoshida6(), nd.ConstantSteps(4 * per_period * periods // 7), 4),
        "Tsit5, rtol 1e-6": (nd.Tsit5(), nd.IController(), None),
    }
    for role, (label, (solver, stepsize, _)) in zip(ROLES, runs.items(), strict=False):
        sol = nd.solve(
            planet, start, ts, solver=solver, stepsize=stepsize, rtol=1e-6, atol=1e-6,
            max_steps=10**6, gradient=nd.Backsolve(solver=nd.Tsit5()),
        )  # fmt: skip
        change = np.abs(np.asarray(jax.vmap(energy)(sol.ys)) / at_start - 1)[1:]
        drift = change.reshape(ends.size, -1).max(axis=1)
        evals = int(sol.stats.num_f_evals) / periods
        axes.loglog(
            ends, drift.clip(1e-15), color=style.COLOURS[role],
            linestyle=style.LINES[role], label=f"{label} ({evals:.0f} evaluations per period)",
        )  # fmt: skip
        print("energy", label, f"{drift[0]:.1e} {drift.max():.1e} {drift[-1]:.1e} nfe {evals:.0f}")
    axes.set_xlabel("periods")
    axes.set_ylabel("largest relative error of the energy")
    axes.legend(fontsize=7.5)


def main() -> None:
    """Draw the pictures named on the command line, or all three."""
    wanted = sys.argv[1:] or ["stiff", "nonstiff", "energy"]
    with jax.enable_x64(True), style.apply_style():
        if "nonstiff" in wanted:
            figure, axes = grid(1, 2)
            for panel, name in zip(axes, NONSTIFF, strict=True):
                draw(panel, name, nonstiff_curves(name), "evaluations of f")
            add_legend(figure, axes)
            figure.savefig(IMAGES / "work-precision-nonstiff.png", dpi=140)
        if "energy" in wanted:
            figure, axes = grid(1, 1)
            energy_drift(axes[0])
            figure.savefig(IMAGES / "energy-drift.png", dpi=140)
        if "stiff" in wanted:
            figure, axes = grid(2, 2)
            names = ("Robertson", "van der Pol", "HIRES", "Brusselator 1-D")
            for panel, name in zip(axes, names, strict=True):
                draw(panel, name, kept(name, stiff_curves), "seconds")
            add_legend(figure, axes)
            figure.savefig(IMAGES / "work-precision-stiff.png", dpi=140)


if __name__ == "__main__":
    main()
