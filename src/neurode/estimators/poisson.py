"""`PoissonProcess`: when things happen, as an intensity learned from event times."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.special import ndtri
from sklearn.utils.validation import check_is_fitted

from neurode.data import DataError, Events, read_events
from neurode.estimators.estimator import Estimator, SettingError, as_key
from neurode.estimators.intensities import (
    Clock,
    Intensity,
    Schedule,
    evaluate,
    place_nodes,
    spread_of_logs,
    train_intensity,
)
from neurode.estimators.poisson_files import write_process
from neurode.estimators.poisson_settings import check_process_settings
from neurode.estimators.time_rescaling import Residuals, compare_gaps, draw_events
from neurode.gradients import Checkpointed
from neurode.gradients.gradient import GradientStrategy
from neurode.models import LatentIntensity, SolveOptions
from neurode.solvers import Tsit5
from neurode.solvers.solver import Solver

_CELLS = 8192  # of the inverse of the integral, for samples


class PoissonProcess(Estimator):
    """An inhomogeneous Poisson process: lambda(t) read off a latent neural ODE.

    z' = f(t, z), lambda(t) = exp(g(z(t))); f, g and z(start) maximise the likelihood of the
    events, sum of log lambda(t_i) minus the integral of lambda, times a normal prior on the
    weights. Trajectory and integral come from one solve (Chen et al. 2018, section 5.2). All
    windows share one clock: windows that overlap are repetitions, gaps between them were not
    watched.

    Args:
        latent: size of the latent state.
        hidden: widths of the hidden layers of f.
        readout: widths of those of g.
        prior_precision: of the normal prior on each weight: higher is smoother. With a hundred
            events it matters, with ten thousand it does not.
        solver: the method that solves the trajectory.
        rtol: relative tolerance of training; what is asked of the fitted process is solved in
            double precision at 1e-8.
        atol: absolute tolerance, likewise.
        max_steps: the budget of solver steps.
        gradient: how the solve is differentiated.
        steps: updates of Adam.
        learning_rate: at the start; it falls along a cosine.
        batch_size: events per update, at about; fewer are taken whole. Windows are cut into
            pieces of at most 512 events, and a batch is a number of pieces.
        random_state: seed or typed key of everything random; None draws one.
        progress: whether to show the training.

    Attributes:
        model_: the fitted `LatentIntensity`, on its own clock.
        windows_: what was watched, [w, 2]; days since 1970 if events are dates.
        calendar_: of the dates, or None.
        num_events_: in all windows.
        history_: per step: "loss" (negative log posterior in nats per event), "nll" (of that the
            likelihood), "nfe_forward", "nfe_backward".
        stats_: seconds, steps, ties among the events, and whether training was interrupted.
    """

    def __init__(
        self,
        *,
        latent: int = 4,
        hidden: Sequence[int] = (32,),
        readout: Sequence[int] = (16,),
        prior_precision: float = 1.0,
        solver: Solver = Tsit5(),  # noqa: B008
        rtol: float = 1e-3,
        atol: float = 1e-3,
        max_steps: int = 512,
        gradient: GradientStrategy = Checkpointed(),  # noqa: B008
        steps: int = 1000,
        learning_rate: float = 1e-2,
        batch_size: int = 8192,
        random_state: Any = 0,
        progress: bool = False,
    ):
        self.latent = latent
        self.hidden = hidden
        self.readout = readout
        self.prior_precision = prior_precision
        self.solver = solver
        self.rtol = rtol
        self.atol = atol
        self.max_steps = max_steps
        self.gradient = gradient
        self.steps = steps
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        events: Any,
        windows: Any = None,
        *,
        run: str | Path | None = None,
        resume: bool = True,
    ) -> "PoissonProcess":
        """Learn the intensity of events.

        Args:
            events: times of one window, in any order, numbers or dates; or a list of such arrays,
                one per window; or an `Events`. Equal times are legal.
            windows: (start, end) of the window, or of each: when it was watched, also while
                nothing happened. None is from the first event to the last.
            run: a folder for checkpoints, which Ctrl-C saves and the same call goes on with.
            resume: False starts anew in that folder.

        Returns:
            The estimator itself.

        Raises:
            DataError: there is no event, or one lies outside its window, or a window has no
                length; the message says which.
            SettingError: an argument of the estimator cannot be.
            TrainingError: training met what is not finite, again and again.
        """
        check_process_settings(self)
        began = time.monotonic()
        data = read_events(events, windows)
        if not data.count:
            raise DataError(
                f"no event in {len(data.windows)} window(s) of {data.exposure:.6g} altogether: the "
                "most likely rate is zero, and there is nothing to learn from"
            )
        clock = Clock(float(data.windows.min()), float(data.windows.max()))
        for_model, for_fit = jax.random.split(self._key())
        scale = data.count / (data.exposure * clock.speed)
        model = LatentIntensity.new(
            self.latent, tuple(self.hidden), tuple(self.readout), scale, for_model
        )
        result = train_intensity(
            model,
            data,
            clock,
            self._options(),
            Schedule(
                int(self.steps),
                float(self.learning_rate),
                int(self.batch_size),
                float(self.prior_precision),
            ),
            key=for_fit,
            config=self._config(),
            run=run,
            resume=resume,
            progress=self.progress,
        )
        self.model_ = result.model
        self.windows_, self.calendar_, self.num_events_ = data.windows, data.calendar, data.count
        # From the model's clock to the user's: a density of n times has n factors ds/dt.
        shift = np.log(clock.speed)
        history = result.history
        self.history_ = history | {name: history[name] - shift for name in ("loss", "nll")}
        self.stats_ = {
            "seconds": time.monotonic() - began,
            "steps": result.steps_done,
            "ties": int(sum((np.diff(part) == 0).sum() for part in data.times)),
            "interrupted": result.interrupted,
        }
        return self

    def intensity(self, t: Any, *, level: float = 0.95) -> Intensity:
        """Events per unit of time (per day, where times are dates), with a band.

        The band holds at each time, not for all times at once, and is an approximation: log
        lambda is taken for normal with the variance that the Fisher information and the prior
        leave it (a linearised Laplace approximation). It knows of no other network or prior.

        Args:
            t: times, in any order: a number, [T], or dates. Beyond the last window the fitted
                dynamics go on: a forecast.
            level: of the band.

        Returns:
            An `Intensity` of arrays shaped like `t`.

        Raises:
            NotFittedError: before `fit`.
            DataError: a time lies before the first window, or is no time.
            SolveError: the fitted dynamics cannot be followed so far.
        """
        self._check_fitted()
        if not 0 < level < 1:
            raise SettingError(f"level must lie between 0 and 1, got {level!r}")
        times, shape = self._read_times(t)
        if not times.size:
            return Intensity(*(np.zeros(shape) for _ in range(3)))
        logs, _ = self._evaluate(times)
        half = ndtri((1 + level) / 2) * self._spread(times)
        return Intensity(*(np.exp(x).reshape(shape) for x in (logs, logs - half, logs + half)))

    def expected_count(self, windows: Any) -> Any:
        """The expected number of events in a window (start, end), or in each of several, [w]."""
        self._check_fitted()
        ends, is_single = self._read_windows(windows)
        _, integrals = self._evaluate(ends.ravel())
        counts = np.diff(integrals.reshape(-1, 2))[:, 0]
        return float(counts[0]) if is_single else counts

    def log_likelihood(self, events: Any, windows: Any = None) -> float:
        """The log-likelihood of events in nats: sum of log lambda minus the integral of lambda.

        Args:
            events: as in `fit`.
            windows: as in `fit`, none before the first window of the fit. They decide the
                result: give them.
        """
        self._check_fitted()
        data = self._read(events, windows)
        times = np.concatenate([*data.times, data.windows.ravel()])
        logs, integrals = self._evaluate(times)
        return float(
            logs[: data.count].sum() - np.diff(integrals[data.count :].reshape(-1, 2)).sum()
        )

    def score(self, events: Any, windows: Any = None) -> float:
        """The log-likelihood per event, in nats; see `log_likelihood`."""
        data = self._read(events, windows)
        if not data.count:
            raise DataError("no event to score: use log_likelihood, which is not per event")
        return self.log_likelihood(data) / data.count

    def residuals(self, events: Any, windows: Any = None) -> Residuals:
        """Compare events with the fitted intensity by time rescaling.

        Args:
            events: as in `fit`.
            windows: as in `fit`.

        Source: Brown et al. (2002); see `time_rescaling`.
        """
        self._check_fitted()
        data = self._read(events, windows)
        if not data.count:
            raise DataError("no event, so there is nothing to compare")
        times = np.concatenate([*data.times, data.windows.ravel()])
        _, integrals = self._evaluate(times)
        counts = [len(part) for part in data.times]
        return compare_gaps(counts, integrals[: data.count], integrals[data.count :].reshape(-1, 2))

    def sample(self, windows: Any = None, *, random_state: Any = None) -> Any:
        """Draw events from the fitted process, by time rescaling.

        Args:
            windows: (start, end), or several of them; None takes those of the fit.
            random_state: seed or typed key; None takes the estimator's own, the same every time.

        Returns:
            Sorted times of a single window, or a list with those of each; dates if it was fitted
            to dates.
        """
        self._check_fitted()
        ends, is_single = self._read_windows(self.windows_ if windows is None else windows)
        own = jax.random.fold_in(self._key(), 1)
        key = own if random_state is None else as_key(random_state)
        seed = np.asarray(jax.random.key_data(key)).ravel().tolist()
        random = np.random.default_rng(seed)
        grid = np.linspace(ends.min(), ends.max(), _CELLS + 1)
        grid = np.union1d(grid, ends.ravel())
        _, integrals = self._evaluate(grid)
        drawn = draw_events(random, ends, grid, integrals)
        if self.calendar_ is not None:
            drawn = [self.calendar_.format(times) for times in drawn]
        return drawn[0] if is_single else drawn

    def summary_text(self) -> str:
        """What came out, in a few lines."""
        self._check_fitted()
        s, ties = self.stats_, self.stats_["ties"]
        unit = "unit of time" if self.calendar_ is None else "day"
        exposure = float(np.diff(self.windows_).sum())
        lines = [
            f"an intensity fitted to {self.num_events_} event{'s'[: self.num_events_ != 1]} in "
            f"{len(self.windows_)} window"
            f"{'s'[: len(self.windows_) != 1]} in {s['steps']} steps ({s['seconds']:.1f} s)",
            f"log-likelihood: {-self.history_['nll'][-1]:.4g} nats per event; mean rate "
            f"{self.num_events_ / exposure:.4g} per {unit}",
        ]
        if ties:
            lines.append(
                f"{ties} events share their time with the one before: times are coarse, and the "
                "residuals of such events are zero"
            )
        return "\n".join(lines)

    def _write(self, path: str | Path) -> Path:
        return write_process(path, self)

    def _check_fitted(self) -> None:
        check_is_fitted(self, "model_")

    def _options(self) -> SolveOptions:
        return SolveOptions(
            self.solver, float(self.rtol), float(self.atol), int(self.max_steps), self.gradient
        )

    def _config(self) -> dict[str, Any]:
        """What decides a fit beside its data and its weights, for a run's folder."""
        names = ("rtol", "atol", "steps", "learning_rate", "batch_size", "prior_precision")
        objects = {name: repr(getattr(self, name)) for name in ("solver", "gradient")}
        return objects | {name: getattr(self, name) for name in names}

    def _evaluate(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return evaluate(self.model_, self._clock(), times, self._options())

    def _clock(self) -> Clock:
        return Clock(float(self.windows_.min()), float(self.windows_.max()))

    def _read(self, events: Any, windows: Any) -> Events:
        self._check_fitted()
        data = read_events(events, windows, self.calendar_)
        self._check_start(data.windows)
        return data

    def _read_windows(self, windows: Any) -> tuple[np.ndarray, bool]:
        if windows is self.windows_:
            return self.windows_, len(self.windows_) == 1
        is_single = np.ndim(np.asarray(windows, object)) == 1
        pairs = [windows] if is_single else list(windows)
        empty = [np.zeros(0) for _ in pairs]
        ends = read_events(empty, pairs, self.calendar_).windows
        self._check_start(ends)
        return ends, is_single

    def _read_times(self, t: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        shape = np.shape(t)
        flat = t if shape and len(shape) == 1 else np.ravel(np.asarray(t))
        if self.calendar_ is not None:
            times = self.calendar_.parse(flat, "t") if len(flat) else np.zeros(0)
        else:
            try:
                times = np.asarray(flat, np.float64)
            except (TypeError, ValueError):
                raise DataError(f"t must be numbers, as the events were, got {t!r}") from None
        if not np.isfinite(times).all():
            raise DataError(f"time {int(np.argmin(np.isfinite(times)))} of t is not finite")
        self._check_start(times)
        return times, shape

    def _check_start(self, times: np.ndarray) -> None:
        start = self.windows_.min()
        if times.size and times.min() < start:
            first, now = self._spell(start), self._spell(times.min())
            raise DataError(
                f"{now} lies before {first}, where the intensity begins; ask for later times"
            )

    def _spell(self, time: float) -> str:
        return f"{time:.10g}" if self.calendar_ is None else str(self.calendar_.format(time))

    def _spread(self, times: np.ndarray) -> np.ndarray:
        clock = self._clock()
        nodes = place_nodes(clock, times.max())
        spread = spread_of_logs(
            self.model_, clock, self.windows_, nodes, float(self.prior_precision)
        )
        return np.interp(times, nodes, spread)
