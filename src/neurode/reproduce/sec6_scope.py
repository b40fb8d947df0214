"""Section 6, scope and limitations: how far a solve can be reversed, and what a batch costs.

The paper says that the reverse solve may lose the forward trajectory to numerical error, that
checkpoints would mend it, and that a batch solved as one system might need more evaluations than
its members, but did not in practice. It gives no numbers; these are ours.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import neurode as nd
from neurode.data import ArrayBatches
from neurode.data.densities import two_moons
from neurode.models import Flow, FlowLikelihood, SolveOptions
from neurode.nn import MLPField, PlanarField
from neurode.report import Curve, Panel, draw_panels
from neurode.reproduce.experiment import Findings, Value, check_whole
from neurode.reproduce.spiral_weights import obtain_models
from neurode.reproduce.spirals import Config as SpiralConfig
from neurode.training import fit

__all__ = ["QUICK", "Config", "name_run", "run"]

QUICK = {"steps": 60, "rows": 64, "latent_steps": 60}
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
CHECKPOINTS = 10
REVERSED_ROWS = 64  # one joint system, as a batch in the paper is
AT = 1e-5  # the tolerance of the numbers in the table


@dataclass(frozen=True)
class Config:
    """What decides the result."""

    seed: int = 0
    steps: int = 600  # of the ODE-Net's and the flow's training
    latent_steps: int | None = None  # None: the weights of Table 2, or its training
    rows: int = 1024  # the largest batch

    def __post_init__(self):
        check_whole("rows", self.rows, 16)
        check_whole("steps", self.steps, 1)


class Dynamics(NamedTuple):
    """A vector field with initial states [rows, d], followed from 0 to t1."""

    name: str
    field: Callable
    states: Any
    t1: float


class Scope(NamedTuple):
    """What was measured of one of them."""

    reverse: list[float]
    """Relative error of the reversed initial state, per tolerance."""
    checkpointed: list[float]
    """The same, begun anew at each of the checkpoints: the largest."""
    batches: list[int]
    joint: list[int]
    """NFE of a joint solve, per size of the batch."""
    single: list[int]
    """The largest NFE among its members solved each on its own."""


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}-steps{config.steps}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Train small models of the paper's three kinds, reverse them, and batch them.

    Args:
        config: what to train and how.
        folder: of the run; each training has a folder of its own in it.
        data: not used; the digits are scikit-learn's, the rest is made here.
        resume: go on with what the folder holds.
        progress: show it on standard error.
    """
    del data
    begin = time.perf_counter()
    cases, is_interrupted = [], False
    for obtain in (obtain_odenet, obtain_flow, obtain_latent):
        case = None if is_interrupted else obtain(config, folder, resume, progress)
        is_interrupted = is_interrupted or case is None
        cases.append(case)
    if is_interrupted:
        return Findings({}, {}, False, True, (config.seed,), time.perf_counter() - begin)
    cases.append(make_dissipative(config))
    with jax.enable_x64(True):
        scopes = {case.name: measure(case) for case in cases}
    return Findings(
        values=tabulate(scopes),
        figures={"figure": draw(scopes)},
        complete=config == Config(seed=config.seed),
        interrupted=False,
        seeds=(config.seed,),
        seconds=time.perf_counter() - begin,
        notes=(
            f"errors and evaluations at rtol = atol = {AT:g}, in double precision; with "
            f"{CHECKPOINTS} checkpoints the largest of {CHECKPOINTS} pieces, relative to the state",
            "a joint solve holds the root mean square of all errors at the tolerance, so that its "
            "worst member may be solved less accurately than alone",
        ),
    )


# -- the models ------------------------------------------------------------------------------------


class DigitNet(eqx.Module):
    """A linear layer, an ODE of a small network, and a linear head."""

    stem: eqx.nn.Linear
    field: Any
    head: eqx.nn.Linear

    def __call__(self, x, probe=None):
        """Logits of rows of pixels, and the solve's statistics."""
        y0 = jax.vmap(self.stem)(x)
        ts = jnp.array([0.0, 1.0])
        sol = nd.solve(self.field, y0, ts, rtol=1e-3, atol=1e-3, probe=probe, max_steps=256)
        return jax.vmap(self.head)(sol.ys[-1]), sol.stats


def classify(model: DigitNet, batch: Any, key: Any, probe: Any) -> tuple[Any, dict[str, Any]]:
    """Mean cross-entropy, for `fit`."""
    del key
    x, labels = batch
    logits, stats = model(x, probe)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return loss, {"nfe_forward": stats.num_f_evals}


def load_digit_rows() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 digits of 8 x 8 pixels that scikit-learn ships, pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return np.asarray(pixels, np.float32) / 16, np.asarray(labels, np.int32)


def obtain_odenet(config: Config, folder: Path, resume: bool, progress: bool) -> Dynamics | None:
    """Train an ODE-Net on digits; None if interrupted."""
    pixels, labels = load_digit_rows()
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), 1), 4)
    model = DigitNet(
        eqx.nn.Linear(64, 16, key=keys[0]),
        MLPField(16, (32,), key=keys[1]),
        eqx.nn.Linear(16, 10, key=keys[2]),
    )
    batches = ArrayBatches((pixels, labels), 128, key=keys[3])
    found = fit(
        classify, model, batches, optimizer=optax.adam(3e-3), steps=config.steps, key=keys[3],
        run=folder / "odenet", resume=resume, progress=progress,
    )  # fmt: skip
    if found.interrupted:
        return None
    states = jax.vmap(found.model.stem)(pixels[: config.rows])
    return Dynamics("ODE-Net", found.model.field, states, 1.0)


def obtain_flow(config: Config, folder: Path, resume: bool, progress: bool) -> Dynamics | None:
    """Train a planar flow on two moons; None if interrupted."""
    key = jax.random.fold_in(jax.random.key(config.seed), 2)
    rows = two_moons().sample(key, 4096)
    options = SolveOptions(rtol=1e-4, atol=1e-4, max_steps=256)
    found = fit(
        FlowLikelihood(options), Flow(PlanarField(2, 32, hyper=(32,), key=key)),
        ArrayBatches(rows, 256, key=key), optimizer=optax.adam(3e-3), steps=config.steps, key=key,
        run=folder / "flow", resume=resume, progress=progress,
    )  # fmt: skip
    if found.interrupted:
        return None
    states = jax.random.normal(jax.random.fold_in(key, 1), (config.rows, 2))
    return Dynamics("CNF", found.model.field, states, 1.0)


def obtain_latent(config: Config, folder: Path, resume: bool, progress: bool) -> Dynamics | None:
    """The latent dynamics of Table 2, from draws of the prior; None if interrupted."""
    spirals = SpiralConfig(seed=config.seed)
    if config.latent_steps is not None:
        spirals = replace(spirals, steps=config.latent_steps, series=250, trained=200)
    obtained = obtain_models(spirals, None, folder, ("latent",), (100,), resume, progress)
    if obtained.interrupted:
        return None
    key = jax.random.fold_in(jax.random.key(config.seed), 3)
    states = jax.random.normal(key, (config.rows, spirals.latent))
    return Dynamics("Latent ODE", jax.vmap(obtained.models[0].field, (None, 0)), states, 2.0)


def make_dissipative(config: Config) -> Dynamics:
    """Relaxation to a moving target within a twentieth of the interval; no training."""
    states = jax.random.normal(jax.random.key(config.seed), (config.rows, 2))
    return Dynamics("dissipative", lambda t, y: -20 * (y - jnp.cos(3 * t)), states, 1.0)


# -- measuring -------------------------------------------------------------------------------------


def measure(case: Dynamics) -> Scope:
    """Reverse a batch at every tolerance, and solve batches of every size."""
    field = jax.tree_util.tree_map(
        lambda x: x.astype(jnp.float64) if eqx.is_inexact_array(x) else x, case.field
    )
    states = jnp.asarray(case.states, jnp.float64)
    few = states[:REVERSED_ROWS]

    def solve(y0, ts, tolerance):
        sol = nd.solve(field, y0, ts, rtol=tolerance, atol=tolerance, max_steps=20_000, throw=False)
        return sol.ys, sol.stats.num_f_evals, sol.status

    solve = jax.jit(solve)
    times = np.linspace(0.0, case.t1, CHECKPOINTS + 1)
    errors = [reverse(solve, few, times, tolerance) for tolerance in TOLERANCES]
    ends = times[[0, -1]]
    batches = [4**i for i in range(6) if 4**i <= len(states)]
    joint = [int(solve(states[:size], ends, AT)[1]) for size in batches]
    one = jax.jit(jax.vmap(lambda y: solve(y[None], ends, AT)[1]))
    alone = np.asarray(one(states))
    single = [int(alone[:size].max()) for size in batches]
    return Scope([a for a, _ in errors], [b for _, b in errors], batches, joint, single)


def reverse(solve: Callable, y0: Any, times: np.ndarray, tolerance: float) -> tuple[float, float]:
    """Solve there and back: the error of the initial state, without and with checkpoints."""
    kept, _, _ = solve(y0, times, tolerance)
    back, _, status = solve(kept[-1], times[[-1, 0]], tolerance)
    pieces = [
        (solve(kept[i + 1], times[[i + 1, i]], tolerance)[0][-1], kept[i])
        for i in range(len(times) - 1)
    ]
    # A reverse solve that does not even arrive has lost everything.
    whole = relative_error(back[-1], kept[0]) if int(status) == nd.Status.SUCCESS else np.inf
    return whole, max(relative_error(found, exact) for found, exact in pieces)


def relative_error(found: Any, exact: Any) -> float:
    """Root mean square of the error over that of the state."""
    return float(jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact))


def tabulate(scopes: dict[str, Scope]) -> dict[tuple[str, str], Value]:
    """(row, metric) -> value."""
    at, values = TOLERANCES.index(AT), {}
    for name, scope in scopes.items():
        if np.isfinite(scope.reverse[at]):
            values[name, "reverse_error"] = Value(scope.reverse[at])
        values[name, "reverse_error_checkpoints"] = Value(scope.checkpointed[at])
        if name == "dissipative":
            continue
        values[name, "nfe_joint"] = Value(scope.joint[-1], note=f"K = {scope.batches[-1]}")
        values[name, "nfe_largest_single"] = Value(scope.single[-1])
        values[name, "joint_over_single"] = Value(scope.joint[-1] / scope.single[-1])
    return values


def draw(scopes: dict[str, Scope]) -> Any:
    """Reverse errors against tolerance, one panel per model, and the cost of batches."""
    panels = []
    for name, scope in scopes.items():
        errors = np.minimum(np.maximum(scope.reverse, 1e-12), 1e12)
        curves = [
            Curve(TOLERANCES, errors, "from t1", "second"),
            Curve(TOLERANCES, scope.checkpointed, f"{CHECKPOINTS} checkpoints", "model"),
            Curve(TOLERANCES, TOLERANCES, "the tolerance", "baseline"),
        ]
        panels.append(
            Panel(name, curves, x_label="rtol = atol", y_label="error reversed", log_x=True,
                  log_y=True)
        )  # fmt: skip
    roles = ("model", "second", "third")
    trained = [name for name in scopes if name != "dissipative"]
    curves = [
        Curve(scopes[name].batches, np.divide(scopes[name].joint, scopes[name].single), name, role)
        for name, role in zip(trained, roles, strict=True)
    ]
    panels.append(
        Panel("joint NFE / largest single NFE", curves, x_label="systems in the batch", log_x=True)
    )
    return draw_panels(panels, columns=2, panel_height=2.2)
