"""What a fitted latent ODE can do: encode, reconstruct, impute, forecast, sample and score."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from neurode.data import DataError
from neurode.data.calendar import Calendar
from neurode.estimators.collections import Collection
from neurode.estimators.estimator import Estimator, SettingError, check_choice, check_number
from neurode.estimators.latent_events import read_eventful
from neurode.estimators.latent_states import (
    FittedLatent,
    Posterior,
    cut_all,
    encode,
    follow,
    reconstruct,
    score_crops,
)
from neurode.estimators.latent_training import check_values
from neurode.estimators.predictive import (
    Forecast,
    check_ids,
    namer,
    predict,
    read_forecast_times,
    restore,
    stack,
)
from neurode.estimators.scaling import Scaling
from neurode.models import GaussianEmission, LatentModel, SolveOptions


class LatentInference(Estimator):
    """The questions that a fitted latent ODE answers; `LatentODE` is how it is fitted."""

    likelihood: str
    max_length: int
    latent: int
    model_: LatentModel
    scaling_: Scaling
    posterior_: Posterior
    labels_: tuple[str, ...] | None
    calendar_: Calendar | None
    id_: str | None
    time_: str | None
    is_single_: bool
    names_: tuple[str, ...]
    n_features_in_: int
    events: str | None
    has_events_: bool

    def _options(self) -> SolveOptions:
        """How latent states are followed."""
        raise NotImplementedError

    @property
    def noise_(self) -> np.ndarray | None:
        """Standard deviation of the Gaussian noise in the user's units, [d]."""
        emission = self.model_.emission
        if not isinstance(emission, GaussianEmission):
            return None
        return np.asarray(emission.scale, np.float64) * self.scaling_.scale

    def encode(self, data: Any, ys: Any = None, **form: Any) -> tuple[np.ndarray, np.ndarray]:
        """The Gaussian over the latent state at each series' first time.

        Args:
            data: as in `fit`.
            ys: as in `fit`.
            **form: `id`, `time` and `columns` of a frame, where they differ from those of `fit`;
                and `events`, if `fit` was given some.

        Returns:
            Means and standard deviations, [n, l] each. Of a series longer than `max_length`, the
            state is that at the first time of its last stretch.
        """
        posterior = encode(self._fitted(), self._read(data, ys, form))
        return posterior.mean, posterior.scale

    def reconstruct(self, data: Any, ys: Any = None, **form: Any) -> Any:
        """The expected observation at every time of each series, as the whole series tells it.

        Args:
            data: as in `fit`.
            ys: as in `fit`.
            **form: see `encode`.

        Returns:
            Values [T, d] of one series; [n, T, d] of several of one length; a list of [T_i, d];
            of a frame with ids a dict by label. A series longer than `max_length` is
            reconstructed stretch by stretch.

        Raises:
            DataError: data cannot be used.
            SolveError: a latent state cannot be followed.
        """
        collection = self._read(data, ys, form)
        return restore(reconstruct(self._fitted(), collection), collection)

    def impute(self, data: Any, ys: Any = None, **form: Any) -> Any:
        """The series with what was not observed filled in by its expectation.

        Args:
            data: as in `fit`.
            ys: as in `fit`.
            **form: see `encode`.

        Returns:
            Values as `reconstruct`, what was observed unchanged.
        """
        collection = self._read(data, ys, form)
        guesses = reconstruct(self._fitted(), collection)
        observed = [collection.rows(i)[1] for i in range(len(collection))]
        filled = [
            np.where(np.isfinite(values), values, guess)
            for values, guess in zip(observed, guesses, strict=True)
        ]
        return restore(filled, collection)

    def forecast(
        self,
        times: Any,
        data: Any = None,
        ys: Any = None,
        *,
        ids: Sequence[Any] | None = None,
        samples: int = 50,
        level: float = 0.95,
        **form: Any,
    ) -> Forecast:
        """Observations at any later times, with their uncertainty.

        Args:
            times: increasing times for all series, or a list or dict of such; dates if the data
                had dates.
            data: series as in `fit`; None goes on with those learned from.
            ys: as in `fit`.
            ids: which of the series, by label (or number, if they have none); None for all.
            samples: paths drawn for each series.
            level: probability of the intervals, noise of the observations included.
            **form: see `encode`.

        Returns:
            A `Forecast`.

        Raises:
            DataError: times or data cannot be used, a time lies before its series' first
                observation, or an id is unknown.
            SolveError: a latent state cannot be followed.
        """
        self._check_level(samples, level)
        posterior, labels, is_single = self._begin(data, ys, ids, form)
        rows, is_shared = read_forecast_times(times, posterior, labels, self.calendar_)
        key = jax.random.fold_in(self._key(), 3)
        found = predict(self._fitted(), posterior, rows, samples, level, key, namer(labels))
        given = [row if self.calendar_ is None else self.calendar_.format(row) for row in rows]
        return Forecast(
            *(stack(values, is_shared, is_single) for values in found),
            times=given[0] if is_shared else given,
            level=level,
            names=self.names_,
            labels=labels,
        )

    def sample(self, n: int, times: Any) -> np.ndarray:
        """New series, drawn from the prior.

        Args:
            n: how many.
            times: increasing times since a series' beginning, [T], as numbers (days, if the data
                had dates).

        Returns:
            Observations with their noise, [n, T, d].
        """
        self._check_fitted()
        check_number("n", n, least=1, whole=True)
        try:
            row = np.atleast_1d(np.asarray(times, np.float64))
        except (TypeError, ValueError):
            raise DataError(f"times since the beginning must be numbers, got {times!r}") from None
        if row.ndim != 1 or not np.isfinite(row).all() or row[0] < 0 or (np.diff(row) < 0).any():
            raise DataError(f"times must increase from at least 0, the beginning; got {times!r}")
        for_states, for_noise = jax.random.split(jax.random.fold_in(self._key(), 4))
        initial = np.asarray(jax.random.normal(for_states, (n, self.latent)), np.float64)
        outputs = np.stack(follow(self._fitted(), initial, [row] * n)).astype(np.float32)
        return self.scaling_.values(np.asarray(self.model_.emission.draw(for_noise, outputs)))  # pyright: ignore[reportArgumentType]

    def score(self, data: Any, ys: Any = None, **options: Any) -> float:
        """The bound of log p(y) in nats per observed number or event, over all series.

        Args:
            data: as in `fit`.
            ys: as in `fit`.
            **options: those of `score_samples`.
        """
        bounds, counts = self._bounds(data, ys, **options)
        return float(np.sum(bounds) / np.sum(counts))

    def score_samples(self, data: Any, ys: Any = None, **options: Any) -> np.ndarray:
        """A lower bound of log p(y, events) of each series, in nats and in the data's units.

        Args:
            data: as in `fit`.
            ys: as in `fit`.
            **options: `bound`: "iwae", importance-weighted, which gets closer to log p(y) with
                `samples` (default 64), or "elbo"; and `id`, `time`, `columns` of a frame.

        Returns:
            [n]; a series longer than `max_length` is the sum of its stretches.
        """
        return self._bounds(data, ys, **options)[0]

    def _bounds(
        self, data: Any, ys: Any, *, bound: str = "iwae", samples: int = 64, **form: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        check_choice("bound", bound, ("iwae", "elbo"))
        check_number("samples", samples, least=1, whole=True)
        collection = self._read(data, ys, form)
        check_values(collection, self.likelihood)
        owners, crops = cut_all(self._fitted(), collection)
        key = jax.random.fold_in(self._key(), 5)
        elbo, weighted, counts = score_crops(self._fitted(), crops, samples, key)
        found = weighted if bound == "iwae" else elbo
        # The density of the data is that of scaled values, divided by the scales.
        per_variable = np.asarray(crops.scored).sum(axis=1)
        found = found - per_variable @ np.log(self.scaling_.scale)
        found = found - np.asarray(crops.counts).sum(axis=1) * np.log(self.scaling_.span)
        n = len(collection)
        return np.bincount(owners, found, n), np.bincount(owners, counts, n)

    def _begin(
        self, data: Any, ys: Any, ids: Any, form: dict[str, Any]
    ) -> tuple[Posterior, tuple[str, ...] | None, bool]:
        """Where the series' states are that are asked for, what they are called, if it is one."""
        labels, is_single, posterior = self.labels_, self.is_single_, self.posterior_
        if data is not None:
            collection = self._read(data, ys, form)
            labels, is_single = collection.labels, collection.is_single
            posterior = encode(self._fitted(), collection)
        if ids is None:
            return posterior, labels, is_single
        chosen = check_ids(ids, labels, len(posterior.starts))
        posterior = Posterior(*(x[chosen] for x in posterior))
        names = [str(i) if labels is None else labels[i] for i in chosen]
        return posterior, tuple(names), is_single

    def _check_level(self, samples: Any, level: Any) -> None:
        self._check_fitted()
        check_number("samples", samples, least=1, whole=True)
        if not 0 < level < 1:
            raise SettingError(f"level must be between 0 and 1, got {level!r}")

    def _read(self, data: Any, ys: Any, form: dict[str, Any]) -> Collection:
        self._check_fitted()
        if hasattr(data, "columns"):
            form = {"id": self.id_, "time": self.time_, "columns": self.names_} | form
        elif not hasattr(data, "names"):
            form = {"columns": self.names_} | form
        events = form.pop("events", None)
        collection = read_eventful(data, ys, events, self.events, calendar=self.calendar_, **form)
        if (collection.counts is not None) != self.has_events_:
            raise DataError(
                "the model was fitted with events: give those of these series too, events=[…], "
                "with [] where nothing happened"
                if self.has_events_
                else "the model was fitted without events: leave out events"
            )
        found = collection.series.names
        if len(found) != self.n_features_in_:
            raise DataError(
                f"the data have {len(found)} variables ({', '.join(found)}), the model was fitted "
                f"with {self.n_features_in_} ({', '.join(self.names_)})"
            )
        if (collection.calendar is None) != (self.calendar_ is None):
            has, had = ("numbers", "dates") if collection.calendar is None else ("dates", "numbers")
            raise DataError(f"the times are {has}, those that were learned from were {had}")
        return collection

    def _fitted(self) -> FittedLatent:
        return FittedLatent(self.model_, self.scaling_, self._options(), self.max_length)
