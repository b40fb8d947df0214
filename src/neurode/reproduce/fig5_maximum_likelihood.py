"""Figure 5: two circles and two moons by maximum likelihood, and the flow reversed to sample."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from neurode.data.densities import Arcs, two_circles, two_moons
from neurode.gradients import Backsolve
from neurode.models import Flow, FlowLikelihood, Normal, SolveOptions, log_density, transport
from neurode.models.baselines import PlanarFlow, PlanarLikelihood
from neurode.nn import PlanarField
from neurode.report import Curve, DensityMap, Frame, Panel, draw_frames, draw_panels
from neurode.reproduce.experiment import Findings, Value, check_whole
from neurode.store import save
from neurode.training import FitResult, fit

DATASETS = {"circles": two_circles(noise=0.06, factor=0.5), "moons": two_moons(noise=0.1)}


@dataclass(frozen=True)
class Config:
    """What decides the result. The paper gives the widths; all else is open.

    (The data, their noise, the learning rates, iterations and samples per iteration.)
    """

    units: int = 64  # of the CNF
    layers: int = 64  # of the NF
    cnf_iterations: int = 6_000
    nf_iterations: int = 30_000
    samples: int = 512  # fresh ones in every iteration
    cnf_learning_rate: float = 3e-3  # of Adam; both fall along a cosine
    nf_learning_rate: float = 2e-3
    clip: float = 5.0  # of the gradient's norm
    hyper: tuple[int, ...] = (64, 64)
    tolerance: float = 1e-5  # relative and absolute; the paper's for densities, section 6
    max_steps: int = 256  # budget of a solve
    held_out: int = 20_000
    seed: int = 0

    def __post_init__(self):
        for name in ("units", "layers", "cnf_iterations", "nf_iterations", "samples", "held_out"):
            check_whole(name, getattr(self, name), 1)
        check_whole("seed", self.seed, 0)


QUICK = {"cnf_iterations": 300, "nf_iterations": 2_000, "held_out": 4_000}
TIMES = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)  # shares of the integration time, as in the figure
TOLERANCES = tuple(10.0**-k for k in range(2, 9))
_LAST_RATE = 0.01  # of the learning rate
_SKIPPED = 20  # iterations in a row whose solve fails, before it is an error
_PIXELS = 80
_TIMED = 10_000  # points whose sampling and scoring are timed
_SHOWN = 1_500  # samples in a picture


class FreshSamples(eqx.Module):
    """New standardised samples in every iteration: a pure function of the step.

    Attributes:
        arcs: where they come from.
        key: of the samples.
        centre: taken off them.
        scale: by which they are then divided.
        count: how many.
    """

    arcs: Arcs
    key: Array
    centre: np.ndarray
    scale: np.ndarray
    count: int = eqx.field(static=True)

    @property
    def steps_per_epoch(self) -> int:
        """There are no epochs; one."""
        return 1

    def __call__(self, step: Int[Array, ""]) -> Float[Array, "n 2"]:
        """The samples of a step."""
        x = self.arcs.sample(jax.random.fold_in(self.key, step), self.count)
        return (x - jnp.asarray(self.centre, x.dtype)) / jnp.asarray(self.scale, x.dtype)


class Sweep(NamedTuple):
    """The held-out likelihood and the cost at every tolerance."""

    nll: np.ndarray
    evaluations: np.ndarray


class Examined(NamedTuple):
    """What was measured of the flows on one data set."""

    entropy: float
    nll: dict[str, tuple[float, float]]  # kind -> mean and standard error, in nats
    gap: dict[str, tuple[float, float]]  # kind -> nll minus the true one of the same points
    reversal: float  # time of sampling over time of log_prob
    sweep: Sweep
    figure: Any
    skipped: int
    seconds: float


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Fit both flows to both data sets, and measure.

    Args:
        config: what to train and how.
        folder: of the run, with a folder for each flow.
        data: not needed.
        resume: go on with what the folder holds.
        progress: show it on standard error.

    Raises:
        ConfigMismatch: a folder holds a run of another configuration.
        TrainingError: training met what is not finite, again and again.
    """
    del data
    found: dict[str, Examined] = {}
    for name, arcs in DATASETS.items():
        sample = np.asarray(arcs.sample(jax.random.key(0), 100_000), np.float64)
        centre, scale = sample.mean(axis=0), sample.std(axis=0)
        results = {}
        for kind in ("CNF", "NF"):
            place = folder / f"{kind.lower()}-{name}"
            result = _train(config, kind, name, (centre, scale), place, resume, progress)
            if result.interrupted:
                return Findings({}, {}, False, True, (config.seed,), 0.0)
            save(place / "model.safetensors", result.model, {"config": asdict(config)})
            results[kind] = result
        found[name] = _examine(config, arcs, (centre, scale), results)
    return _collect(config, found)


def make_field(config: Config, key: Key[Array, ""]) -> PlanarField:
    """The CNF's field, whose units are averaged as in the authors' code."""
    return PlanarField(2, config.units, hyper=config.hyper, average=True, key=key)


def solve_options(config: Config) -> SolveOptions:
    """How a CNF is solved, in training and after."""
    return SolveOptions(
        rtol=config.tolerance,
        atol=config.tolerance,
        max_steps=config.max_steps,
        gradient=Backsolve(),
    )


def _train(
    config: Config,
    kind: str,
    name: str,
    scaling: tuple[np.ndarray, np.ndarray],
    folder: Path,
    resume: bool,
    progress: bool,
) -> FitResult:
    for_model, for_data, for_fit = jax.random.split(jax.random.key(config.seed), 3)
    if kind == "CNF":
        model: Any = Flow(make_field(config, for_model))
        objective: Any = FlowLikelihood(solve_options(config))
        steps, rate = config.cnf_iterations, config.cnf_learning_rate
    else:
        model, objective = PlanarFlow(2, config.layers, key=for_model), PlanarLikelihood()
        steps, rate = config.nf_iterations, config.nf_learning_rate
    schedule = optax.cosine_decay_schedule(rate, steps, _LAST_RATE)
    return fit(
        objective,
        model,
        FreshSamples(DATASETS[name], for_data, *scaling, config.samples),
        optimizer=optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(schedule)),
        steps=steps,
        key=for_fit,
        run=folder,
        config={"kind": kind, "data": name} | asdict(config),
        resume=resume,
        log_every=1 if kind == "CNF" else 100,
        skip_non_finite=_SKIPPED,
        progress=progress,
    )


def _examine(
    config: Config,
    arcs: Arcs,
    scaling: tuple[np.ndarray, np.ndarray],
    results: dict[str, FitResult],
) -> Examined:
    centre, scale = scaling
    x = np.asarray(arcs.sample(jax.random.key(config.seed + 7_919), config.held_out), np.float64)
    z, offset = (x - centre) / scale, np.log(scale).sum()
    log_p = arcs.log_prob(x)  # pyright: ignore[reportArgumentType]
    options = solve_options(config)
    flow, planar = results["CNF"].model, results["NF"].model
    log_q = {
        "CNF": np.asarray(_score(flow, z, config.tolerance, options)[0], np.float64) - offset,
        "NF": np.asarray(eqx.filter_jit(_score_planar)(planar, z), np.float64) - offset,
    }
    return Examined(
        entropy=arcs.entropy(),
        nll={kind: _mean_and_error(-values) for kind, values in log_q.items()},
        gap={kind: _mean_and_error(log_p - values) for kind, values in log_q.items()},
        reversal=_time_reversal(flow, z, options),
        sweep=_sweep(flow, z, offset, options),
        figure=_draw_flow(arcs, scaling, flow, planar, options),
        skipped=int(np.sum(~np.isfinite(results["CNF"].history["loss"]))),
        seconds=sum(result.seconds for result in results.values()),
    )


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


@eqx.filter_jit
def _score(flow: Flow, z: Any, tolerance: Any, options: SolveOptions) -> tuple[Array, Array]:
    """Log-densities, and the evaluations they took; one program for every tolerance."""
    z = jnp.asarray(z, jnp.result_type(float))
    log_q, back = log_density(flow, z, options, tolerance=tolerance)
    return log_q, back.stats.num_f_evals


def _score_planar(planar: PlanarFlow, z: Any) -> Array:
    return PlanarLikelihood().log_prob(planar, jnp.asarray(z, jnp.result_type(float)))


@eqx.filter_jit
def _sample(flow: Flow, key: Key[Array, ""], count: int, options: SolveOptions, ts: Any) -> Array:
    z = Normal().sample(key, (count, 2), jnp.result_type(float))
    return transport(flow.field, z, ts, options).z


def _time_reversal(flow: Flow, z: np.ndarray, options: SolveOptions) -> float:
    """Time of sampling over time of log_prob for as many points, each the best of five."""
    rows = jnp.asarray(z[:_TIMED], jnp.float32)
    score = lambda: _score(flow, rows, options.rtol, options)  # noqa: E731
    draw = lambda: _sample(flow, jax.random.key(1), len(rows), options, (0.0, 1.0))  # noqa: E731
    return _best_time(draw) / _best_time(score)


def _best_time(call: Any, repeats: int = 5) -> float:
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return min(times)


def _sweep(flow: Flow, z: np.ndarray, offset: float, options: SolveOptions) -> Sweep:
    """The held-out likelihood at every tolerance, in double precision."""
    nll, evaluations = [], []
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), flow)
        for tolerance in TOLERANCES:
            log_q, count = _score(wide, z, jnp.asarray(tolerance), options)
            nll.append(offset - float(jnp.mean(log_q)))
            evaluations.append(int(count))
    return Sweep(np.array(nll), np.array(evaluations))


def _draw_flow(
    arcs: Arcs,
    scaling: tuple[np.ndarray, np.ndarray],
    flow: Flow,
    planar: PlanarFlow,
    options: SolveOptions,
) -> Any:
    """Density and samples through time; the target and the NF beside them."""
    centre, scale = scaling
    side = np.linspace(-2.7, 2.7, _PIXELS)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)

    def picture(log_density):
        return DensityMap(side, side, np.exp(np.asarray(log_density)).reshape(_PIXELS, _PIXELS))

    @eqx.filter_jit
    def at(time):
        back = transport(flow.field, jnp.asarray(grid, jnp.float32), (time, 0.0), options)
        return flow.base.log_prob(back.z) + back.change

    densities = [Frame(picture(at(jnp.float32(t)))) for t in TIMES]
    clouds = _sample(flow, jax.random.key(2), _SHOWN, options, (0.0, *TIMES))
    samples = [Frame(points=cloud, role="model") for cloud in np.asarray(clouds)[1:]]
    target = Frame(picture(arcs.log_prob(grid * scale + centre)), title="target")  # pyright: ignore[reportArgumentType]
    discrete = Frame(picture(_score_planar(planar, grid)), title=f"NF, {len(planar.b)} layers")
    titles = [f"{100 * t:.0f}%" for t in TIMES]
    return draw_frames(
        [[*densities, target], [*samples, discrete]],
        titles=[*titles, ""],
        labels=["density", "samples"],
        limits=(-2.7, 2.7, -2.7, 2.7),
    )


def _collect(config: Config, found: dict[str, Examined]) -> Findings:
    values, notes = {}, []
    for name, examined in found.items():
        values[f"entropy {name}", "nll"] = Value(examined.entropy, note="numerical integration")
        for kind in ("CNF", "NF"):
            row = f"{kind} {name}"
            nll, gap = examined.nll[kind], examined.gap[kind]
            values[row, "nll"] = Value(nll[0], note=f"standard error {nll[1]:.1g}")
            note = f"on the same points; standard error {gap[1]:.1g}"
            values[row, "gap"] = Value(gap[0], note=note)
        note = f"{_TIMED} points; a planar NF cannot be inverted"
        values[f"CNF {name}", "reversal"] = Value(examined.reversal, note=note)
        errors = np.abs(examined.sweep.nll - examined.sweep.nll[-1])
        enough = max(t for t, e in zip(TOLERANCES, errors, strict=True) if e <= 1e-3)
        notes.append(
            f"{name}: the NLL is within 0.001 nats of that at tolerance 1e-8 from {enough:.0e} on; "
            f"at 1e-5 it differs by {errors[3]:.1e} with {examined.sweep.evaluations[3]} "
            f"evaluations; iterations skipped: {examined.skipped}"
        )
    figures = {f"figure_{name}": examined.figure for name, examined in found.items()}
    return Findings(
        values=values,
        figures=figures | {"figure_tolerance": _draw_sweep(found)},
        complete=True,
        interrupted=False,
        seeds=(config.seed,),
        seconds=sum(examined.seconds for examined in found.values()),
        notes=tuple(notes),
    )


def _draw_sweep(found: dict[str, Examined]) -> Any:
    tolerances = np.array(TOLERANCES)
    errors, costs = [], []
    for (name, examined), role in zip(found.items(), ("model", "second"), strict=True):
        gaps = np.abs(examined.sweep.nll - examined.sweep.nll[-1])[:-1]
        errors.append(Curve(tolerances[:-1], np.maximum(gaps, 1e-12), name, role))
        costs.append(Curve(tolerances, examined.sweep.evaluations, name, role))
    log = {"x_label": "tolerance", "log_x": True, "log_y": True}
    return draw_panels(
        [
            Panel("change of the NLL against tolerance 1e-8 (nats)", errors, **log),
            Panel("evaluations of the field", costs, **log),
        ]
    )
