"""The latent ODE: a generative model of irregular series, and its evidence lower bound.

    z(t_0) ~ N(0, I),    dz/dt = f(t, z),    y(t_i) ~ p(y | g(z(t_i)))

An encoder turns what was observed into a Gaussian over z(t_0). (Chen et al. 2018, section 5.) The
times of events may be observed too, or instead: a Poisson process of rate lambda(z(t)) (5.2).
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from neurode.core.solution import DenseOutput
from neurode.ivp import solve
from neurode.models.dynamics import SolveOptions
from neurode.models.emissions import Emission
from neurode.models.rates import CountedField, EventRate, event_log_likelihood
from neurode.nn import MLP, Encoder, MLPField

_FEW_STEPS = 32  # that nearly every joint solve of latent paths makes do with


class HappenedEvents(NamedTuple):
    """Events along n series, at the times of their rows.

    A series is watched from its t_0, which it does not count, to its last time.

    Attributes:
        counts: how many happened at each time, [n, T]; 0 in padding.
        seen: the rows whose count the encoder is shown, [n, T].
    """

    counts: Float[Array, "n T"]
    seen: Bool[Array, "n T"]


class Crops(NamedTuple):
    """n stretches of series in a model's units, padded to T times.

    Attributes:
        ts: times [n, T], the last one repeated as padding.
        ys: values [n, T, d]; anything where not observed.
        seen: what the encoder is shown, [n, T, d].
        scored: what the likelihood counts, [n, T, d]: past the end of `seen`, it asks for a
            forecast.
        first: the row at whose time t_0 each one's latent state begins, [n].
        kl_weight: factor on the divergence from the prior, below 1 while it is warmed up.
        events: what happened, for a model that has a rate.
    """

    ts: Float[Array, "n T"]
    ys: Float[Array, "n T d"]
    seen: Bool[Array, "n T d"]
    scored: Bool[Array, "n T d"]
    first: Int[Array, " n"]
    kl_weight: Float[Array, ""]
    events: HappenedEvents | None = None

    @property
    def starts(self) -> Float[Array, " n"]:
        """The times t_0."""
        return pick(self.ts, self.first)

    @property
    def counts(self) -> Float[Array, "n T"]:
        """Events after t_0, as the likelihood counts them; 0 if there are none to model."""
        if self.events is None:
            return jnp.zeros_like(self.ts)
        return jnp.where(self.ts > self.starts[:, None], self.events.counts, 0)

    @property
    def shown(self) -> Bool[Array, "n T"]:
        """The rows of which the encoder sees anything."""
        shown = self.seen.any(axis=-1)
        return shown if self.events is None else shown | self.events.seen


class Paths(NamedTuple):
    """Latent states along n series.

    Attributes:
        states: [n, T, l], NaN from a failure on.
        status: how the solve ended.
        num_f_evals: evaluations of the vector field.
    """

    states: Float[Array, "n T l"]
    status: Int[Array, ""]
    num_f_evals: Int[Array, ""]


class LatentModel(eqx.Module):
    """Encoder, dynamics, decoder and the distribution of observations.

    Attributes:
        encoder: series -> mean and standard deviation of z(t_0).
        field: f(t, z) -> dz/dt of one latent state.
        decoder: g, from states to the parameters of `emission`.
        emission: the distribution of observations.
        rate: of events, or None if there are none to model.
    """

    encoder: Encoder
    field: Any
    decoder: MLP
    emission: Emission
    rate: EventRate | None = None

    def encode(self, crops: Crops) -> tuple[Float[Array, "n l"], Float[Array, "n l"]]:
        """Mean and standard deviation of q(z(t_0) | what was seen)."""
        mean, scale = self.encode_all(crops)
        return pick(mean, crops.first), pick(scale, crops.first)

    def encode_all(self, crops: Crops) -> tuple[Float[Array, "n T l"], Float[Array, "n T l"]]:
        """Mean and standard deviation of q(z(t_i) | what was seen from t_i on), for every time."""
        ys, seen = self.emission.encode(crops.ys), crops.seen
        if crops.events is not None:
            counts = jnp.log1p(crops.events.counts)[..., None]
            ys = jnp.concatenate([ys, counts], axis=-1)
            seen = jnp.concatenate([seen, crops.events.seen[..., None]], axis=-1)
        return self.encoder(crops.ts, ys, seen)


def pick(values: Float[Array, "n T *rest"], rows: Int[Array, " n"]) -> Array:
    """One row of each series."""
    index = rows.reshape(-1, *[1] * (values.ndim - 1))
    return jnp.take_along_axis(values, index, axis=1)[:, 0]


def new_latent_model(
    size: int,
    latent: int,
    emission: Emission,
    *,
    encoder: str = "rnn",
    encoder_hidden: int = 25,
    field_hidden: tuple[int, ...] = (20,),
    decoder_hidden: tuple[int, ...] = (20,),
    activation: str = "tanh",
    field: Any = None,
    mean_rate: float | None = None,
    key: Key[Array, ""],
) -> LatentModel:
    """Draw the weights of a latent ODE; the defaults are the paper's sizes.

    Args:
        size: number d of observed variables.
        latent: number l of latent dimensions.
        emission: the distribution of observations.
        encoder: its kind, see `Encoder`.
        encoder_hidden: units of the encoder.
        field_hidden: widths of the hidden layers of f.
        decoder_hidden: widths of the hidden layers of the decoder.
        activation: of f and of the decoder.
        field: f of your own, or None for a fully connected network.
        mean_rate: events per unit of time on average; None for a model without events.
        key: a typed key.
    """
    for_encoder, for_field, for_decoder = jax.random.split(key, 3)
    if field is None:
        field = MLPField(
            latent, field_hidden, activation=activation, output_scale=1.0, key=for_field
        )
    rate = None
    if mean_rate is not None:
        rate = EventRate.new(latent, decoder_hidden, mean_rate, jax.random.fold_in(key, 3))
    shown = size + (rate is not None)  # the encoder sees what happened, beside the values
    return LatentModel(
        Encoder(shown, latent, kind=encoder, hidden=encoder_hidden, key=for_encoder),
        field,
        MLP(latent, size, decoder_hidden, activation=activation, key=for_decoder),
        emission,
        rate,
    )


def solve_paths(
    field: Any,
    initial: Float[Array, "n l"],
    starts: Float[Array, " n"],
    ts: Float[Array, "n T"],
    options: SolveOptions,
    *,
    probe: Any = None,
) -> Paths:
    """Follow n latent states, each along its own times, as one joint system.

    Each series' time is mapped to [0, 1], which multiplies its field by the length of its
    interval: all begin and end together, whatever their times. The states at each one's own times
    are then read off the dense output. So the work grows with the number of observations, not
    with the number of different times among all series.

    Args:
        field: f(t, z) -> dz/dt of one state.
        initial: the states at `starts`.
        starts: a time for each series.
        ts: times of each, non-decreasing; those before its start give the initial state.
        options: how.
        probe: see `solve`.
    """
    spans = jnp.maximum(ts[:, -1] - starts, 0)
    fractions = (ts - starts[:, None]) / jnp.where(spans > 0, spans, 1)[:, None]
    many = jax.vmap(field)

    def move(fraction, z):
        return spans[:, None] * many(starts + fraction * spans, z)

    solution = solve(
        move,
        initial,
        jnp.array([0, 1], initial.dtype),
        solver=options.solver,
        rtol=options.rtol,
        atol=options.atol,
        stepsize=options.stepsize,
        max_steps=options.max_steps,
        gradient=options.gradient,
        dense=True,
        probe=probe,
    )
    assert solution.dense is not None
    states = _read_off(solution.dense, jnp.clip(fractions, 0, 1))
    return Paths(states, solution.status, solution.stats.num_f_evals)


def _read_off(dense: DenseOutput, times: Float[Array, "n T"]) -> Any:
    """The states of a joint system of n rows, each row at its own times; leaves [n, T, ...]."""
    room = len(dense.sizes) - 1
    few = min(room, _FEW_STEPS)
    if few == room:
        return _read_steps(room, dense, times)
    # The work grows with the steps that there may be: nearly always there are few.
    return jax.lax.cond(
        dense.num_accepted <= few,
        partial(_read_steps, few),
        partial(_read_steps, room),
        dense,
        times,
    )


def _read_steps(room: int, dense: DenseOutput, times: Float[Array, "n T"]) -> Any:
    """The same of the first `room` steps.

    A step's interpolant is taken by a product with rows of a unit matrix: on the way back that is
    a product again, where an index would scatter, one number after the other.
    """
    is_step = jnp.arange(room) < dense.num_accepted
    elapsed = times[..., None] - dense.steps[:room] - dense.offsets[:room]
    number = jnp.maximum(jnp.sum((elapsed > 0) & is_step, axis=-1) - 1, 0)
    chosen = (number[..., None] == jnp.arange(room)).astype(times.dtype)

    def take(x):
        x = jnp.where(is_step.reshape(-1, *[1] * (x.ndim - 1)), x[:room], 0)
        return jnp.einsum("nts,sn...->nt...", chosen.astype(x.dtype), x)

    starts, coefficients = jax.tree.map(take, (dense.starts, dense.coefficients))
    elapsed, sizes = jnp.sum(chosen * elapsed, axis=-1), dense.sizes[number]
    states = jax.vmap(jax.vmap(dense.evaluate))(starts, coefficients, elapsed, sizes)
    is_lost = times > dense.steps[-1]  # behind a failure
    return jax.tree.map(
        lambda x: jnp.where(is_lost.reshape(*times.shape, *[1] * (x.ndim - 2)), jnp.nan, x), states
    )


class Evidence(NamedTuple):
    """What a sample of initial states says about n series, in nats.

    Attributes:
        log_likelihood: log p(y | z) of what was scored, events included, [k, n].
        log_ratio: log p(z_0) - log q(z_0 | y), [k, n].
        divergence: KL(q || p), [n].
        drift: how far the states leave those that later observations point to, [n].
        num_f_evals: evaluations of the vector field by one joint solve.
    """

    log_likelihood: Float[Array, "k n"]
    log_ratio: Float[Array, "k n"]
    divergence: Float[Array, " n"]
    drift: Float[Array, " n"]
    num_f_evals: Int[Array, ""]


def weigh_evidence(
    model: LatentModel,
    crops: Crops,
    options: SolveOptions,
    samples: int,
    key: Key[Array, ""],
    *,
    probe: Any = None,
) -> Evidence:
    """Draw initial states from the encoder and see how well they explain the series.

    Args:
        model: the latent ODE.
        crops: the series.
        options: how latent states are followed.
        samples: k, initial states drawn for each series.
        key: of the draws.
        probe: see `solve`.
    """
    means, scales = model.encode_all(crops)
    mean, scale = pick(means, crops.first), pick(scales, crops.first)
    noise = jax.random.normal(key, (samples, *mean.shape), mean.dtype)
    initial = mean + scale * noise
    n = len(mean)

    def repeat(x):
        return jnp.broadcast_to(x, (samples, *x.shape)).reshape(samples * n, *x.shape[1:])

    counted = None if model.rate is None else CountedField(model.field, model.rate)
    begin = initial if counted is None else counted.start(initial)
    paths = solve_paths(
        model.field if counted is None else counted,
        begin.reshape(samples * n, -1),
        repeat(crops.starts),
        repeat(crops.ts),
        options,
        probe=probe,
    )
    states = paths.states.reshape(samples, *crops.ts.shape, -1)
    events = jnp.zeros(())
    if counted is not None:
        log_rates, integrals = counted.read(states)
        events = event_log_likelihood(log_rates, crops.counts, integrals[..., -1])
        states = states[..., :-1]
    log_prob = model.emission.log_prob(model.decoder(states), crops.ys)
    log_likelihood = jnp.where(crops.scored, log_prob, 0).sum((-2, -1)) + events
    # The normalising constants of the two Gaussians cancel.
    log_ratio = (0.5 * (noise**2 - initial**2) + jnp.log(scale)).sum(-1)
    divergence = 0.5 * (mean**2 + scale**2 - 1 - 2 * jnp.log(scale)).sum(-1)
    drift = _measure_drift(states, means, scales, crops) - (0.5 * noise**2 + jnp.log(scale)).sum(-1)
    return Evidence(log_likelihood, log_ratio, divergence, drift.mean(axis=0), paths.num_f_evals)


def _measure_drift(states: Array, means: Array, scales: Array, crops: Crops) -> Array:
    """The mean of -log q(z(t_i) | what was seen from t_i on) over the times after the first."""
    numbers = jnp.arange(crops.ts.shape[1])
    is_later = crops.shown & (numbers > crops.first[:, None])
    surprise = (0.5 * ((states - means) / scales) ** 2 + jnp.log(scales)).sum(-1)
    count = jnp.maximum(is_later.sum(axis=1), 1)
    return jnp.where(is_later, surprise, 0).sum(axis=-1) / count


class LatentLoss(eqx.Module):
    """The objective: the negative evidence lower bound per observed number or event, in nats.

    With `consistency`, also the drift of the latent states, the mean over the later times t_i of
    log q(z(t_0) | y) - log q(z(t_i) | y from t_i on) along the path that began at t_0: the
    divergence of what the dynamics make of the first Gaussian from what the encoder says at t_i,
    but for the change of volume on the way. The lower bound alone leaves it open where a path goes
    behind the last observation; a path that ends among the states which other series begin with
    goes on as they do. (The continuity prior of Iakovlev et al., "Latent neural ODEs with sparse
    Bayesian multiple shooting", ICLR 2023, is of this kind.)

    Attributes:
        options: how latent states are followed.
        samples: initial states drawn for each series.
        consistency: weight of the drift, as if that of one observed number.
    """

    options: SolveOptions
    samples: int = eqx.field(static=True, default=1)
    consistency: float = eqx.field(static=True, default=0.0)

    def __call__(
        self, model: LatentModel, batch: Crops, key: Key[Array, ""], probe: Float[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss; its parts, and the evaluations of the field by one joint solve."""
        found = weigh_evidence(model, batch, self.options, self.samples, key, probe=probe)
        count = jnp.maximum(jnp.sum(batch.scored) + jnp.sum(batch.counts), 1)
        misfit = -jnp.sum(found.log_likelihood.mean(axis=0)) / count
        divergence = jnp.sum(found.divergence) / count
        loss = misfit + batch.kl_weight * divergence
        if self.consistency:
            loss = loss + self.consistency * jnp.sum(found.drift) / count
        metrics = {
            "misfit": misfit,
            "divergence": jnp.mean(found.divergence),
            "drift": jnp.mean(found.drift),
            "nfe_forward": found.num_f_evals,
        }
        return loss, metrics
