"""What a latent ODE that learned events says of their rate."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from neurode.data import DataError
from neurode.estimators.estimator import SettingError, check_number
from neurode.estimators.intensities import Intensity
from neurode.estimators.latent_inference import LatentInference
from neurode.estimators.latent_states import Posterior
from neurode.estimators.predictive import namer, read_forecast_times, sample_rates, stack


class LatentRates(LatentInference):
    """The questions about events that a fitted latent ODE answers."""

    def intensity(
        self,
        times: Any,
        data: Any = None,
        ys: Any = None,
        *,
        ids: Sequence[Any] | None = None,
        samples: int = 50,
        level: float = 0.95,
        **form: Any,
    ) -> Intensity:
        """Events per unit of time (per day, where times are dates) along each series, with a band.

        Args:
            times: as in `forecast`: within a series, or later.
            data: as in `forecast`.
            ys: as in `fit`.
            ids: as in `forecast`.
            samples: paths drawn for each series; the rate is their mean.
            level: share of the paths within the band: it knows of no other network.
            **form: see `encode`.

        Raises:
            SettingError: no events were learned.
            DataError: as `forecast`.
            SolveError: a latent state cannot be followed.
        """
        self._check_events()
        self._check_level(samples, level)
        posterior, labels, is_single = self._begin(data, ys, ids, form)
        rows, is_shared = read_forecast_times(times, posterior, labels, self.calendar_)
        found = self._sample_rates(posterior, rows, samples, labels)
        tails = [(1 - level) / 2, (1 + level) / 2]
        parts = [(rates.mean(axis=0), *np.quantile(rates, tails, axis=0)) for rates, _ in found]
        return Intensity(*(stack(list(x), is_shared, is_single) for x in zip(*parts, strict=True)))

    def expected_count(
        self,
        window: Any,
        data: Any = None,
        ys: Any = None,
        *,
        ids: Sequence[Any] | None = None,
        samples: int = 50,
        **form: Any,
    ) -> Any:
        """The expected number of events of each series in a window.

        Args:
            window: (start, end), none before a series' first time; or a list of such, one for
                each series. With times in between, (start, …, end), it is cut there.
            data: as in `forecast`.
            ys: as in `fit`.
            ids: as in `forecast`.
            samples: paths drawn for each series.
            **form: see `encode`.

        Returns:
            [n]; a number for a single series. Of a window that is cut one number for each part,
            as a last axis; of a list of windows a list.
        """
        self._check_events()
        check_number("samples", samples, least=1, whole=True)
        posterior, labels, is_single = self._begin(data, ys, ids, form)
        rows, is_shared = read_forecast_times(window, posterior, labels, self.calendar_)
        if any(len(row) < 2 for row in rows):
            raise DataError(f"a window is (start, end), got {window!r}")
        found = self._sample_rates(posterior, rows, samples, labels)
        counts = [np.diff(grown, axis=1).mean(axis=0) for _, grown in found]
        if any(len(row) != 2 for row in rows):
            return stack(counts, is_shared, is_single)
        return float(counts[0][0]) if is_single else np.concatenate(counts)

    def _sample_rates(
        self,
        posterior: Posterior,
        rows: list[np.ndarray],
        samples: int,
        labels: tuple[str, ...] | None,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The rate of each series along sampled paths, and its integral, [k, T_i] each."""
        key = jax.random.fold_in(self._key(), 6)
        return sample_rates(self._fitted(), posterior, rows, samples, key, namer(labels))

    def _check_events(self) -> None:
        self._check_fitted()
        if not self.has_events_:
            raise SettingError(
                "no events were learned, so there is no rate of them: fit with "
                "LatentODE(events='times'), or give fit(…, events=…)"
            )
