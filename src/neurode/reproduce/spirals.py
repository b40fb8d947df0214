"""What Table 2 and Figures 8 to 10 share: the spirals, and what trained models make of them."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurode.data.spirals import Spirals, make_spirals
from neurode.models import Crops, LatentModel, SolveOptions, solve_paths
from neurode.models.baselines import RecurrentForecaster
from neurode.reproduce.experiment import check_choice, check_whole
from neurode.solvers import Tsit5
from neurode.stepping import PIController

WINDOW = 100  # points that may be observed; as many beyond them are to be forecast
KINDS = {"latent": "Latent ODE", "rnn": "RNN", "rnn-dt": "RNN dt"}
READINGS: dict[str, dict[str, Any]] = {
    "noise 0.3": {"noise": 0.3},
    "the script's starts": {"earliest": 100, "latest": 800, "latest_trained": 899},
}
"""Other readings of the paper, which leaves both open: torchdiffeq's examples/latent_ode.py has
noise of 0.3, and its windows begin anywhere but in the first and the last 100 points."""
PRECISE = SolveOptions(Tsit5(), rtol=1e-5, atol=1e-6, max_steps=1024, stepsize=PIController())
"""How latent states are followed where nothing is trained."""


@dataclass(frozen=True)
class Config:
    """What decides the result. The sizes are the paper's, which says nothing of all the rest."""

    seed: int = 0  # the first of them
    runs: int = 3
    counts: tuple[int, ...] = (30, 50, 100)
    series: int = 1000
    trained: int = 800
    noise: float = 0.1
    earliest: int = 0  # number of a window's first point on its curve of 1,000
    latest: int = 700
    latest_trained: int | None = None  # of the windows trained on, which may end with the curve
    latent: int = 4
    hidden: int = 20  # of f and of the decoder
    units: int = 25  # of the recognition network and of the baselines
    activation: str = "softplus"
    steps: int = 96_000
    rnn_steps: int = 24_000
    batch_size: int = 32
    learning_rate: float = 5e-3
    decoder_decay: float = 0.1  # of the decoder's weights, times the rate, in every step
    shortest: float = 0.3  # share of a window that the encoder sees at least, in training
    consistency: float = 0.2  # weight of the drift of latent states
    kl_weight: float = 0.02  # of the divergence from the prior
    warmup: float = 0.1  # of the steps, for the weight of the divergence
    variant_runs: int = 1  # seeds of each of the `READINGS`
    solver_steps: int = 8  # of RK4 over a window, in training

    def __post_init__(self):
        check_choice("activation", self.activation, ("elu", "softplus", "tanh"))
        for name in ("runs", "series", "trained", "latent", "hidden", "units", "steps"):
            check_whole(name, getattr(self, name), 1)
        check_whole("seed", self.seed, 0)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the data and the weights."""
        return tuple(range(self.seed, self.seed + self.runs))

    @property
    def first_unseen(self) -> int:
        """The first point of the curves that lies in no window trained on."""
        latest = self.latest if self.latest_trained is None else self.latest_trained
        return latest + WINDOW

    def read(self, reading: str) -> "Config":
        """The configuration of a member of `READINGS`; "" for this one."""
        return replace(self, **READINGS[reading]) if reading else self


class Task(NamedTuple):
    """The spirals of one seed, in units of unit spread, with what is observed of each.

    Attributes:
        spirals: the windows of 200 points.
        observed: numbers of the observed points among the first 100, increasing, [n, count].
        centre: mean of the observations that are trained on, [2].
        scale: their standard deviation, the same for both coordinates.
    """

    spirals: Spirals
    observed: np.ndarray
    centre: np.ndarray
    scale: float

    @property
    def ts(self) -> np.ndarray:
        """Times of the observations, [n, count]."""
        return self.spirals.ts[self.observed]

    @property
    def ys(self) -> np.ndarray:
        """The observations, scaled, [n, count, 2]."""
        rows = np.arange(len(self.observed))[:, None]
        return (self.spirals.noisy[rows, self.observed] - self.centre) / self.scale

    def values(self, scaled: Any) -> np.ndarray:
        """Scaled values in the spirals' own units."""
        return np.asarray(scaled, np.float64) * self.scale + self.centre


def make_task(config: Config, seed: int, count: int) -> Task:
    """Draw the spirals of a seed, and which points of them are observed.

    Args:
        config: the experiment's.
        seed: of everything random.
        count: observed points of each window.
    """
    options = {"noise": config.noise, "earliest": config.earliest, "seed": seed}
    spirals = make_spirals(config.series, points=2 * WINDOW, latest=config.latest, **options)
    if config.latest_trained is not None:
        trained = make_spirals(
            config.trained, points=WINDOW, latest=config.latest_trained, **options
        )
        spirals = _replace_first(spirals, trained)
    rng = np.random.default_rng([seed, 1])
    order = rng.permuted(np.tile(np.arange(WINDOW), (config.series, 1)), axis=1)
    seen = spirals.noisy[: config.trained, :WINDOW]
    return Task(
        spirals, np.sort(order[:, :count], axis=1), seen.mean((0, 1)), float(seen.std((0, 1)).max())
    )


def _replace_first(spirals: Spirals, others: Spirals) -> Spirals:
    """The first spirals replaced by others, of which nothing is known beyond their windows."""
    n, points = others.clean.shape[:2]
    values = {}
    for name in ("clean", "noisy", "directions", "begins"):
        values[name] = getattr(spirals, name).copy()
    for name in ("clean", "noisy"):
        values[name][:n, points:] = np.nan
        values[name][:n, :points] = getattr(others, name)
    for name in ("directions", "begins"):
        values[name][:n] = getattr(others, name)
    return spirals._replace(**values)


def forecast_latent(
    model: LatentModel, task: Task, rows: slice, *, key: Array | None = None
) -> np.ndarray:
    """Reconstruct the window and forecast the 100 points beyond it.

    Args:
        model: a latent ODE.
        task: the spirals.
        rows: which of them.
        key: draws the initial state from the posterior; None takes its mean, as Table 2 does.

    Returns:
        [n, 200, 2].
    """
    crops = see_all(task.ts[rows], task.ys[rows])
    mean, scale = _encode(model, crops)
    if key is not None:
        mean = mean + scale * jax.random.normal(key, mean.shape)
    return task.values(_follow(model, mean, crops.starts, jnp.float32(task.spirals.ts)))


@eqx.filter_jit
def _follow(
    model: LatentModel,
    initial: Float[Array, "n l"],
    starts: Float[Array, " n"],
    times: Float[Array, " T"],
) -> Float[Array, "n T 2"]:
    return model.decoder(follow_states(model, initial, starts, times))


def encode_all(model: LatentModel, task: Task) -> np.ndarray:
    """Mean state of every spiral at the time of its first observation, [n, l]."""
    return np.asarray(_encode(model, see_all(task.ts, task.ys))[0], np.float64)


@eqx.filter_jit
def _encode(model, crops):
    return model.encode(crops)


def follow_all(model: LatentModel, task: Task, times: np.ndarray) -> np.ndarray:
    """Latent states [n, T, l] of every spiral at times of the window, from the mean state."""
    initial, starts = jnp.float32(encode_all(model, task)), jnp.float32(task.ts[:, 0])
    return np.asarray(eqx.filter_jit(follow_states)(model, initial, starts, jnp.float32(times)))


def follow_decoded(
    model: LatentModel, initial: Float[Array, "n l"], times: Float[Array, " T"]
) -> Float[Array, "n T 2"]:
    """What is observed, in scaled units, along paths that begin with the window."""
    return _follow(model, initial, jnp.zeros(len(initial), initial.dtype), times)


def see_all(ts: np.ndarray, ys: np.ndarray) -> Crops:
    """Series whose every observation is seen, and whose state is that of the first.

    Padded to a whole window, so that one program serves every number of observations.
    """
    n, count = ts.shape
    padding = (0, WINDOW - count)
    ts = np.pad(ts, ((0, 0), padding), mode="edge")
    ys = np.pad(ys, ((0, 0), padding, (0, 0)))
    mask = jnp.asarray(np.broadcast_to(np.arange(WINDOW)[:, None] < count, ys.shape))
    first = jnp.zeros(n, jnp.int32)
    return Crops(jnp.float32(ts), jnp.float32(ys), mask, mask, first, jnp.ones(()))


def follow_states(
    model: LatentModel,
    initial: Float[Array, "n l"],
    starts: Float[Array, " n"],
    times: Float[Array, " T"],
) -> Float[Array, "n T l"]:
    """Latent states at times on both sides of where each begins."""
    after = jnp.broadcast_to(times, (len(initial), len(times)))
    before = jnp.minimum(after, starts[:, None])
    later = solve_paths(model.field, initial, starts, after, PRECISE).states
    # Backwards: the mirrored field from -start on.
    mirrored = solve_paths(
        lambda t, z: -model.field(-t, z), initial, -starts, -before[:, ::-1], PRECISE
    ).states[:, ::-1]
    return jnp.where((after < starts[:, None])[..., None], mirrored, later)


def forecast_rnn(
    model: RecurrentForecaster, task: Task, rows: slice, *, pace: str = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """Predict each next observation in the window, and the 100 points beyond it.

    Beyond the window the network lives on its own predictions. It has only ever predicted the
    next observation, so with `pace="mean"` it goes on at the mean distance of observations, and
    what lies in between is interpolated; with "grid" a network that sees gaps is told to go from
    point to point. The former is the only sense that a network without gaps can make of it.

    Args:
        model: a baseline.
        task: the spirals.
        rows: which of them.
        pace: "mean" or "grid".

    Returns:
        Predictions of the observations from the second on, [n, count - 1, 2], and of the points
        beyond the window, [n, 100, 2].
    """
    ts, ys = task.ts[rows], task.ys[rows]
    grid = task.spirals.ts
    beyond, last = grid[WINDOW:], ts[:, -1:]
    gap = grid[1] if pace == "grid" else grid[WINDOW] / ts.shape[1]
    if pace == "grid":
        targets = np.broadcast_to(beyond, (len(ts), WINDOW))
    else:
        targets = last + gap * np.arange(1, int(np.ceil((grid[-1] - last.min()) / gap)) + 1)
    gaps = np.diff(np.concatenate([ts, targets[:, :1]], axis=1), axis=1)
    later = np.diff(targets, axis=1)
    means, ahead = _continue(model, *map(jnp.float32, (ys, gaps, later)))
    means, ahead = task.values(means), task.values(ahead)
    if pace != "grid":
        anchor = task.values(ys[:, -1:])
        times = np.concatenate([last, targets], axis=1)
        path = np.concatenate([anchor, ahead], axis=1)
        ahead = np.stack(
            [
                np.stack([np.interp(beyond, t, y) for y in row.T], axis=-1)
                for t, row in zip(times, path, strict=True)
            ]
        )
    return means[:, :-1], ahead


@eqx.filter_jit
def _continue(model, ys, gaps, later):
    means, _ = model.read(ys, gaps)
    return means, model.forecast(ys, gaps, later)


def rmse(guess: np.ndarray, truth: np.ndarray) -> float:
    """The root mean square error of a coordinate."""
    return float(np.sqrt(np.mean((guess - truth) ** 2)))
