"""The lynx and the hare: a model of the textbook and a network, fitted to the same years."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from neurode.data import Table, lynx_hare
from neurode.demo.dynamics_findings import Dial, Findings, Model
from neurode.demo.dynamics_page import present
from neurode.demo.forecasts import find_cycle, forecast_naively, propagate_errors
from neurode.demo.section import DemoSection, SectionResult
from neurode.demo.stages import Stages
from neurode.estimators import NeuralODE
from neurode.gradients import Direct
from neurode.ivp import solve
from neurode.models import Parameters
from neurode.report import VectorField
from neurode.solvers import Bosh3, Dopri8, Tsit5

LAST_YEAR = 1915
"""The models see 1900 to 1915, one cycle and a half, and forecast the five years after."""

START = {"alpha": 0.5, "beta": 0.02, "gamma": 0.8, "delta": 0.02}
TOLERANCE = {"parameters": 1e-8, "network": 1e-4}
NETWORK_STEPS = 3000
SOLVERS = (Bosh3(), Tsit5(), Dopri8())
TOLERANCES = 10.0 ** -np.arange(1, 11)
REFERENCE = 1e-13
_PER_YEAR = 12  # points of a curve
_GRID = 24


def lotka_volterra(t, y, p):
    """Prey grow by themselves and are eaten; predators grow by eating, and die.

    Source: Lotka (1925), Volterra (1926).
    """
    hare, lynx = y
    eaten = hare * lynx
    return jnp.stack([p.alpha * hare - p.beta * eaten, p.delta * eaten - p.gamma * lynx])


def run_dynamics(
    folder: Path, stages: Stages, *, seed: int = 0, effort: float = 1.0
) -> SectionResult:
    """Run the section; see `DemoSection.run`. Nothing is kept but what goes on the page."""
    del folder
    return present(fit_models(stages, seed=seed, effort=effort))


LYNX_HARE = DemoSection("lynx_hare", "Lynx and hare", run_dynamics)


def fit_models(stages: Stages, *, seed: int = 0, effort: float = 1.0) -> Findings:
    """Fit both models to the first years, forecast the others, and measure what it took.

    Args:
        stages: told what is going on.
        seed: of the network's weights.
        effort: scales the network's updates.
    """
    table = lynx_hare()
    seen = int((table.times <= LAST_YEAR).sum())
    years = int(table.times[-1] - table.times[0])
    plot_times = table.times[0] + np.arange(years * _PER_YEAR + 1) / _PER_YEAR
    rows = np.searchsorted(plot_times, table.times)
    past = table.times[:seen], table.values[:seen]
    with stages.part("fitting Lotka-Volterra"):
        tolerance = TOLERANCE["parameters"]
        equations = NeuralODE(
            lotka_volterra, parameters=START, positive=True, rtol=tolerance, atol=tolerance
        ).fit(*past, names=table.names)
    with stages.part("training a neural network", has_bar=True):
        tolerance = TOLERANCE["network"]
        network = NeuralODE(
            rtol=tolerance,
            atol=tolerance,
            steps=max(2, round(effort * NETWORK_STEPS)),
            random_state=seed,
            progress=stages.shown,
        ).fit(*past, names=table.names)
    if network.stats_["interrupted"]:  # training took the Ctrl-C and stopped early
        raise KeyboardInterrupt
    with stages.part("forecasting"):
        models = (
            _examine("Lotka-Volterra", equations, table, plot_times),
            _examine("neural network", network, table, plot_times),
        )
        spread = _find_spread(equations, plot_times, rows[:seen])
        cycle = find_cycle(past[1])
        naive = forecast_naively(past[1], len(rows) - seen, cycle)
    with stages.part("trying tolerances"):
        dials = turn_dials(equations, table.times)
    return Findings(table, seen, plot_times, rows, models, spread, cycle, naive, dials)


def _examine(name: str, estimator: NeuralODE, table: Table, plot_times: np.ndarray) -> Model:
    """Follow a fitted model through all years, at the tolerance and in the precision of its fit."""
    scaling, dtype = estimator.scaling_, estimator.dtype_
    with jax.enable_x64(dtype == "float64"):
        solution = solve(
            estimator.field_,
            jnp.asarray(scaling.states(estimator.initial_[0]), dtype),
            jnp.asarray(scaling.times(plot_times), dtype),
            rtol=estimator.rtol,
            atol=estimator.atol,
        )
    stats = solution.stats
    work = {
        "precision": dtype,
        "tolerance": estimator.rtol,
        "steps": int(stats.num_steps),
        "accepted": int(stats.num_accepted),
        "rejected": int(stats.num_rejected),
        "evaluations": int(stats.num_f_evals),
    }
    curve = scaling.values(np.asarray(solution.ys, np.float64))
    field = _sample_field(estimator, 1.15 * table.values.max(axis=0))
    return Model(name, estimator, curve, field, work)


def _sample_field(estimator: NeuralODE, ends: np.ndarray) -> VectorField:
    """The rates of states from (almost) 0 to `ends`, per year."""
    scaling, dtype = estimator.scaling_, estimator.dtype_
    x, y = (np.linspace(end / _GRID, end, _GRID) for end in ends)
    states = scaling.states(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    with jax.enable_x64(dtype == "float64"):
        rates = jax.vmap(estimator.field_, (None, 0))(
            jnp.zeros((), dtype), jnp.asarray(states, dtype)
        )
    rates = (np.asarray(rates) * scaling.scale / scaling.span).reshape(_GRID, _GRID, 2)
    return VectorField(x, y, rates[..., 0], rates[..., 1])


def _find_spread(estimator: NeuralODE, times: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The standard deviation of Lotka-Volterra's curve, [m, d]."""
    estimates = estimator.estimates_
    assert estimates is not None
    names = estimates.names

    def predict(unknowns):
        parameters = Parameters(zip(names, unknowns, strict=False))
        return solve(
            lotka_volterra,
            unknowns[len(names) :],
            times,
            (parameters,),
            rtol=estimator.rtol,
            atol=estimator.atol,
            gradient=Direct(),
        ).ys

    with jax.enable_x64(True):
        fitted = np.concatenate([estimates.values, estimates.initial[0]])
        slopes = np.asarray(jax.jit(jax.jacfwd(predict))(jnp.asarray(fitted)))
    return propagate_errors(slopes, observed, estimator.noise_)


def turn_dials(estimator: NeuralODE, times: np.ndarray) -> list[Dial]:
    """Solve the fitted equations at many tolerances with several solvers.

    Args:
        estimator: the fitted Lotka-Volterra equations.
        times: at which errors are looked at.
    """

    def run(solver, tolerance):
        return solve(
            estimator.field_,
            jnp.asarray(estimator.initial_[0]),
            jnp.asarray(times),
            solver=solver,
            rtol=tolerance,
            atol=tolerance,
            max_steps=100_000,
        )

    dials = []
    with jax.enable_x64(True):
        exact = np.asarray(run(Dopri8(), REFERENCE).ys)
        for solver in SOLVERS:
            solutions = [run(solver, tolerance) for tolerance in TOLERANCES]
            errors = [np.max(np.abs(np.asarray(s.ys) / exact - 1)) for s in solutions]
            evaluations = [int(s.stats.num_f_evals) for s in solutions]
            name = type(solver).__name__
            dials.append(Dial(name, TOLERANCES, np.array(errors), np.array(evaluations)))
    return dials
