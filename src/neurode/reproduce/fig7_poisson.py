"""Figure 7: the rate of an inhomogeneous Poisson process, learned by a latent ODE from events."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from neurode.data import Events, FullBatch
from neurode.estimators.intensities import (
    HALF_SPAN,
    Clock,
    cut_windows,
    evaluate,
    spread_of_logs,
)
from neurode.estimators.time_rescaling import compare_gaps
from neurode.models import (
    EventLikelihood,
    EventRate,
    EventWindows,
    LatentIntensity,
    SolveOptions,
)
from neurode.models.baselines import choose_bandwidth, kernel_intensity
from neurode.report import Curve, Panel, Points, draw_panels
from neurode.reproduce.experiment import Findings, Value, check_whole
from neurode.store import save
from neurode.training import FitResult, fit

END = 10.0
RATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sine": lambda t: 8 + 6 * np.sin(1.3 * t),
    "burst": lambda t: 4 + 25 * np.exp(-0.5 * ((t - 6) / 0.6) ** 2),
    "decay": lambda t: 1 + 25 * np.exp(-t / 2.5),
}
"""Events per unit of time on [0, 10]; the paper does not say what its toy process is."""

_MOST = 30.0  # above all of them, for thinning
_FINE = 2001  # times of an integral
_NODES = 257  # of the band


@dataclass(frozen=True)
class Config:
    """What decides the result. The paper gives nothing but a picture."""

    data_sets: int = 20
    steps: int = 1000  # Adam
    learning_rate: float = 1e-2  # falls along a cosine
    prior_precision: float = 1.0
    latent: int = 4
    hidden: tuple[int, ...] = (32,)
    readout: tuple[int, ...] = (16,)
    tolerance: float = 1e-3  # in training; evaluated is at 1e-8 in double precision
    max_steps: int = 256
    seed: int = 0

    def __post_init__(self):
        check_whole("data_sets", self.data_sets, 1)
        check_whole("steps", self.steps, 1)
        check_whole("seed", self.seed, 0)


QUICK = {"data_sets": 4, "steps": 200}
CLOCK = Clock(0.0, END)
_LAST_RATE = 0.01  # of the learning rate


class Scores(NamedTuple):
    """How far an estimate is from the truth: one number per data set, [n].

    Attributes:
        absolute: the integral of |estimate - truth| over that of the truth.
        gap: expected log-likelihood of new events lost to the truth, in nats per event.
    """

    absolute: np.ndarray
    gap: np.ndarray


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Draw the data sets, fit them all as lanes of one program, and compare with the truth.

    Args:
        config: what to train and how.
        folder: of the run, with a folder for each process.
        data: not needed.
        resume: go on with what the folder holds.
        progress: show it on standard error.

    Raises:
        ConfigMismatch: a folder holds a run of another configuration.
        TrainingError: training met what is not finite, again and again.
    """
    del data
    values, panels, seconds = {}, [], 0.0
    for name, truth in RATES.items():
        random = np.random.default_rng([config.seed, *name.encode()])
        data_sets = [draw(truth, random) for _ in range(config.data_sets)]
        fresh = [draw(truth, random) for _ in range(config.data_sets)]
        place = folder / name
        result = _train(config, data_sets, place, resume, progress)
        if result.interrupted:
            return Findings({}, {}, False, True, (config.seed,), seconds + result.seconds)
        save(place / "model.safetensors", result.model, {"config": asdict(config)})
        seconds += result.seconds
        models = [jax.tree.map(lambda x, i=i: x[i], result.model) for i in range(config.data_sets)]
        found, panel = _measure(config, name, models, data_sets, fresh)
        values |= found
        panels.append(panel)
    return Findings(
        values=values,
        figures={"figure": draw_panels(panels, columns=1, panel_height=2.1)},
        complete=config.data_sets >= 20 and config.steps >= Config.steps,
        interrupted=False,
        seeds=(config.seed,),
        seconds=seconds,
        notes=("gap and absolute error: mean and sd over data sets, against the known intensity",),
    )


def draw(truth: Callable[[np.ndarray], np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Events of a known process by thinning (Lewis and Shedler 1979)."""
    times = random.uniform(0, END, random.poisson(_MOST * END))
    return np.sort(times[random.uniform(0, _MOST, len(times)) < truth(times)])


class LanesOfEvents(eqx.Module):
    """The sum of `EventLikelihood` over data sets, each with a model of its own.

    Adam moves every weight by itself, so that this is as many independent fits.

    Attributes:
        one: the objective of one data set; `num_events` is [n].
    """

    one: EventLikelihood

    def __call__(
        self,
        models: LatentIntensity,
        batch: EventWindows,
        key: Key[Array, ""],
        probe: Float[Array, ""],
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The sum of the losses, and the mean of the metrics."""
        axes = eqx.tree_at(lambda o: o.num_events, jax.tree.map(lambda _: None, self.one), 0,
                           is_leaf=lambda x: x is None)  # fmt: skip
        each = probe / len(batch.times)

        def lane(objective, model, windows):
            return objective(model, windows, key, each)

        losses, metrics = eqx.filter_vmap(lane, in_axes=(axes, eqx.if_array(0), 0))(
            self.one, models, batch
        )
        return losses.sum(), jax.tree.map(jnp.mean, metrics)


def _train(
    config: Config, data_sets: list[np.ndarray], folder: Path, resume: bool, progress: bool
) -> FitResult:
    windows = np.array([[0.0, END]])
    pieces = [cut_windows(Events((times,), windows), CLOCK) for times in data_sets]
    most = max(piece.times.shape[1] for piece in pieces)

    def pad(x):
        return jnp.pad(x, ((0, 0), (0, most - x.shape[1])))

    batch = EventWindows(
        jnp.stack([pad(piece.times) for piece in pieces]),
        jnp.stack([pad(piece.mask) for piece in pieces]),
        jnp.stack([piece.windows for piece in pieces]),
    )
    counts = jnp.asarray([len(times) for times in data_sets], jnp.float32)
    key = jax.random.key(config.seed)

    def new(key, count):
        scale = count / (2 * HALF_SPAN)
        return LatentIntensity.new(config.latent, config.hidden, config.readout, scale, key)

    models = eqx.filter_vmap(new)(jax.random.split(key, len(data_sets)), counts)
    one = EventLikelihood(
        _options(config),
        jnp.asarray(-HALF_SPAN),
        jnp.asarray(1.0),
        counts,
        jnp.asarray(config.prior_precision),
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps, _LAST_RATE)
    return fit(
        LanesOfEvents(one),
        models,
        FullBatch(batch),
        optimizer=optax.adam(rate),
        steps=config.steps,
        key=jax.random.fold_in(key, 1),
        run=folder,
        config=asdict(config),
        resume=resume,
        trainable=LatentIntensity(True, EventRate(True, False), True),  # pyright: ignore[reportArgumentType]
        skip_non_finite=10,
        progress=progress,
    )


def _options(config: Config) -> SolveOptions:
    return SolveOptions(rtol=config.tolerance, atol=config.tolerance, max_steps=config.max_steps)


def score(truth: np.ndarray, estimates: np.ndarray, t: np.ndarray) -> Scores:
    """How far estimates [n, m] at times t [m] are from the truth [m]."""
    expected = np.trapezoid(truth, t)
    absolute = np.trapezoid(np.abs(estimates - truth), t, axis=1) / expected
    # The expected log-likelihood of a new data set, truth minus estimate.
    lost = np.trapezoid(truth * np.log(truth / estimates) - truth + estimates, t, axis=1)
    return Scores(absolute, lost / expected)


def _measure(
    config: Config,
    name: str,
    models: list[LatentIntensity],
    data_sets: list[np.ndarray],
    fresh: list[np.ndarray],
) -> tuple[dict[tuple[str, str], Value], Panel]:
    t, nodes = np.linspace(0, END, _FINE), np.linspace(0, END, _NODES)
    truth, window = RATES[name](t), np.array([[0.0, END]])
    options = _options(config)
    logs, spreads, p_values = [], [], []
    for model, events in zip(models, fresh, strict=True):
        at, integrals = evaluate(model, CLOCK, np.concatenate([t, [0.0, END], events]), options)
        logs.append(at[:_FINE])
        ends = integrals[_FINE : _FINE + 2][None]
        p_values.append(compare_gaps([len(events)], integrals[_FINE + 2 :], ends).p_value)
        spread = spread_of_logs(model, CLOCK, window, nodes, config.prior_precision)
        spreads.append(np.interp(t, nodes, spread))
    logs, spreads = np.array(logs), 1.96 * np.array(spreads)
    inside = np.mean(np.abs(logs - np.log(truth)) <= spreads, axis=1)
    kernel = [
        kernel_intensity(t, events, choose_bandwidth(events, 0.0, END), 0.0, END)
        for events in data_sets
    ]
    constant = [np.full(_FINE, len(events) / END) for events in data_sets]
    values = _collect(name, score(truth, np.exp(logs), t), "latent ODE")
    values |= _collect(name, score(truth, np.array(kernel), t), "kernel")
    values |= _collect(name, score(truth, np.array(constant), t), "constant")
    row = f"latent ODE, {name}"
    passed = f"of new events; above 0.05 in {np.mean(np.array(p_values) > 0.05):.0%}"
    values[row, "ks_p"] = Value(float(np.median(p_values)), len(p_values), note=passed)
    values[row, "coverage"] = _summarise(100 * inside, "of times inside the 95% band")
    curves = [
        Curve(t, np.exp(logs[0]), "learned, 95% band", "model",
              np.exp(logs[0] - spreads[0]), np.exp(logs[0] + spreads[0])),
        Curve(t, truth, "truth", "truth"),
    ]  # fmt: skip
    dots = Points(data_sets[0], np.zeros(len(data_sets[0])), "events")
    return values, Panel(name, curves, [dots], x_label="t", y_label="events per unit of time")


def _collect(name: str, scores: Scores, method: str) -> dict[tuple[str, str], Value]:
    row = f"{method}, {name}"
    return {
        (row, "absolute_error"): _summarise(scores.absolute),
        (row, "gap"): _summarise(scores.gap),
    }


def _summarise(numbers: np.ndarray, note: str = "") -> Value:
    sd = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return Value(float(numbers.mean()), len(numbers), sd, note)
