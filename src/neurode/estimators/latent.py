"""`LatentODE`: a generative model of irregular series, and their forecasts."""

import time as clock
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neurode.estimators.estimator import SettingError
from neurode.estimators.latent_events import mean_rate, read_eventful
from neurode.estimators.latent_rates import LatentRates
from neurode.estimators.latent_saving import write_latent
from neurode.estimators.latent_settings import check_latent_settings
from neurode.estimators.latent_states import encode
from neurode.estimators.latent_training import (
    Schedule,
    check_values,
    make_emission,
    make_scaling,
    train,
)
from neurode.gradients import Checkpointed
from neurode.gradients.gradient import GradientStrategy
from neurode.models import SolveOptions, new_latent_model
from neurode.solvers import Tsit5
from neurode.solvers.solver import Solver
from neurode.stepping import PIController


class LatentODE(LatentRates):
    """A latent ODE for irregular, partly observed series of any length (Chen et al. 2018, 5).

    A recurrent network reads a series backwards and says where its latent state is; the state
    follows dz/dt = f(z); a decoder says what is observed on the way. Values are standardised
    inside and times counted from each series' first; all that comes out is in the user's units.

    Training cuts stretches out of the series at random: of at most `max_length` rows, beginning
    anywhere, of which the encoder sees at least `shortest` and has to explain all. With
    `max_length` above the longest series, `shortest=1`, `consistency=0` and `curriculum=0` it is
    the paper's.

    Events that happen along a series join its values: a Poisson process whose rate lambda(z(t)) is
    read off the same latent state, its log-likelihood a part of the evidence (5.2). A series is
    watched from its first time, which is not counted, to its last; a row without values makes it
    longer.

    Args:
        latent: number of latent dimensions.
        encoder: "rnn" (the paper's), "gru" or "ode-rnn".
        encoder_units: hidden units of the encoder.
        hidden: widths of the hidden layers of f.
        decoder_hidden: widths of the hidden layers of the decoder.
        activation: of both. Those that grow like a line, such as "elu" and "softplus", go on
            more sensibly where there are no data.
        field: f(t, z) of your own, an `equinox.Module`; t is the time since a series' first,
            divided by `scaling_.span`.
        likelihood: "gaussian", "bernoulli" (0 and 1) or "poisson" (counts).
        noise: standard deviation of Gaussian noise, or one for each variable; None learns them.
        events: "times", if the times of the rows are events themselves; or the name of a column
            that counts events (0, 1, ...) and is no value then. None models no events, or those
            given to `fit`.
        max_length: rows that the encoder reads at most. A longer series is learned in stretches
            of that length, and forecast from its last one.
        shortest: the share of a stretch that the encoder sees at least in training.
        consistency: weight of the latent states' drift, see `neurode.models.LatentLoss`.
        samples: latent states drawn for each stretch in training.
        kl_warmup: share of the updates during which the divergence from the prior gets its weight.
        curriculum: share of the updates during which stretches grow from their first 15% to all;
            0 shows all of them from the start.
        solver: the method that follows latent states.
        rtol: relative tolerance.
        atol: absolute tolerance.
        max_steps: the budget of solver steps of one series.
        gradient: how solves are differentiated.
        steps: updates.
        learning_rate: of AdamW, falling along a cosine.
        weight_decay: of AdamW.
        batch_size: stretches per update; None takes one of each.
        random_state: seed or typed key of everything random; None draws one.
        progress: whether to show the training.

    Attributes:
        model_: the fitted `LatentModel`, in scaled units.
        scaling_: between these and the user's.
        posterior_: the states that the learned series are forecast from.
        last_times_: the last time of each of them, [n].
        gap_: the typical time between two observations.
        labels_: what they are called; None if they have only numbers.
        names_: the d variables.
        n_features_in_: d.
        noise_: standard deviation of the Gaussian noise in the user's units, [d], or None.
        has_events_: whether events were learned, so that there is an `intensity`.
        history_: per step: "loss" (nats per observed number or event), "misfit", "divergence",
            "drift", "nfe_forward", "nfe_backward".
        stats_: seconds, steps, and whether the fit converged or was interrupted.
    """

    def __init__(
        self,
        *,
        latent: int = 4,
        encoder: str = "rnn",
        encoder_units: int = 25,
        hidden: Sequence[int] = (20,),
        decoder_hidden: Sequence[int] = (20,),
        activation: str = "elu",
        field: Callable | None = None,
        likelihood: str = "gaussian",
        noise: float | Sequence[float] | None = None,
        events: str | None = None,
        max_length: int = 256,
        shortest: float = 0.5,
        consistency: float = 1.0,
        samples: int = 1,
        kl_warmup: float = 0.1,
        curriculum: float = 0.5,
        solver: Solver = Tsit5(),  # noqa: B008
        rtol: float = 1e-3,
        atol: float = 1e-4,
        max_steps: int = 256,
        gradient: GradientStrategy = Checkpointed(),  # noqa: B008
        steps: int = 3000,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        batch_size: int | None = 64,
        random_state: Any = 0,
        progress: bool = True,
    ):
        self.latent = latent
        self.encoder = encoder
        self.encoder_units = encoder_units
        self.hidden = hidden
        self.decoder_hidden = decoder_hidden
        self.activation = activation
        self.field = field
        self.likelihood = likelihood
        self.noise = noise
        self.events = events
        self.max_length = max_length
        self.shortest = shortest
        self.consistency = consistency
        self.samples = samples
        self.kl_warmup = kl_warmup
        self.curriculum = curriculum
        self.solver = solver
        self.rtol = rtol
        self.atol = atol
        self.max_steps = max_steps
        self.gradient = gradient
        self.steps = steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        data: Any,
        ys: Any = None,
        *,
        id: str | None = None,
        time: str | None = None,
        columns: Sequence[str] | None = None,
        events: Any = None,
        run: str | Path | None = None,
        resume: bool = True,
    ) -> "LatentODE":
        """Learn from a collection of series.

        Args:
            data: a long pandas frame, one row per observed time; a list of pairs (times, values),
                or a dict of such by label; a `Table` or `SeriesBatch`; or times [T] or [n, T].
            ys: with times only: values [T], [T, d] or [n, T, d]. NaN is not observed.
            id: of a frame: the column that tells series apart.
            time: of a frame: the column of times, numbers in any unit or dates.
            columns: the variables; of a frame None takes all other columns.
            events: times of events, numbers or dates in any order: an array for a single series; a
                list of arrays or a dict by label for several, [] where nothing happened; or a long
                frame with the same columns of ids and times.
            run: a folder for checkpoints, which Ctrl-C saves and the same call goes on with.
            resume: False starts anew in that folder.

        Returns:
            The estimator itself.

        Raises:
            DataError: data cannot be used; the message names the series and the column.
            SettingError: an argument of the estimator cannot be.
            TrainingError: training met what is not finite.
        """
        check_latent_settings(self)
        began = clock.monotonic()
        form = {"id": id, "time": time, "columns": columns}
        learned = read_eventful(data, ys, events, self.events, **form)
        check_values(learned, self.likelihood)
        d = len(learned.series.names)
        if self.noise is not None and np.size(self.noise) not in (1, d):
            raise SettingError(f"noise has {np.size(self.noise)} numbers for {d} variables")
        scaling = make_scaling(learned, self.likelihood, self.max_length)
        has_events = learned.counts is not None
        rate = mean_rate(learned) * scaling.span if has_events else None
        key = self._key()
        result = train(
            self._new_model(d, scaling, rate),
            learned,
            scaling,
            self._options(),
            self._schedule(),
            key=key,
            config=self._config(),
            run=run,
            resume=resume,
            progress=self.progress,
        )
        self.model_, self.scaling_, self.has_events_ = result.model, scaling, has_events
        self.names_, self.n_features_in_ = learned.series.names, d
        self.labels_, self.calendar_ = learned.labels, learned.calendar
        self.id_, self.time_, self.is_single_ = learned.id, learned.time, learned.is_single
        self.posterior_ = encode(self._fitted(), learned)
        self.last_times_ = np.asarray(learned.series.ts[:, -1], np.float64)
        gaps = np.diff(np.asarray(learned.series.ts, np.float64), axis=1)
        self.gap_ = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1.0
        self.history_ = result.history
        self.stats_ = {
            "seconds": clock.monotonic() - began,
            "steps": result.steps_done,
            "converged": not result.interrupted,
            "interrupted": result.interrupted,
        }
        return self

    def summary_text(self) -> str:
        """What was fitted, in two lines."""
        self._check_fitted()
        count = len(self.last_times_)
        text = (
            f"a latent ODE fitted to {count} series of {', '.join(self.names_)} in "
            f"{self.stats_['steps']} steps ({self.stats_['seconds']:.1f} s)\n"
            f"loss: {np.mean(self.history_['loss'][-100:]):.4g} nats per observed number"
            f"{' or event' if self.has_events_ else ''}, scaled"
        )
        if self.noise_ is None:
            return text
        noise = ", ".join(f"{n} {s:.3g}" for n, s in zip(self.names_, self.noise_, strict=True))
        return f"{text}\nnoise sd: {noise}"

    def _write(self, path: str | Path) -> Path:
        return write_latent(path, self)

    def _new_model(self, d: int, scaling: Any, mean_rate: float | None) -> Any:
        return new_latent_model(
            d,
            self.latent,
            make_emission(self.likelihood, self.noise, scaling),
            encoder=self.encoder,
            encoder_hidden=self.encoder_units,
            field_hidden=tuple(self.hidden),
            decoder_hidden=tuple(self.decoder_hidden),
            activation=self.activation,
            field=self.field,
            mean_rate=mean_rate,
            key=jax.random.fold_in(self._key(), 1),
        )

    def _options(self) -> SolveOptions:
        return SolveOptions(
            solver=self.solver,
            rtol=float(self.rtol),
            atol=float(self.atol),
            max_steps=int(self.max_steps),
            gradient=self.gradient,
            stepsize=PIController(),
        )

    def _schedule(self) -> Schedule:
        return Schedule(**{name: getattr(self, name) for name in Schedule._fields})

    def _config(self) -> dict[str, Any]:
        """What decides the fit beside its data and its weights, for a run's folder."""
        names = ("likelihood", "rtol", "atol", *Schedule._fields)
        options = {"solver": repr(self.solver), "gradient": repr(self.gradient)}
        options |= {} if self.events is None else {"events": self.events}
        return {"estimator": type(self).__name__, **options} | {n: getattr(self, n) for n in names}
