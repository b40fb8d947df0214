"""`NeuralODE`: learn dynamics from observed trajectories, or an ODE's parameters."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurode.data import DataError, SeriesBatch
from neurode.estimators.estimator import Estimator
from neurode.estimators.forecasts import Fitted, coefficient_of_determination, forecast, lay_out
from neurode.estimators.inference import Estimates, tabulate
from neurode.estimators.network import Schedule, fit_network
from neurode.estimators.odes import FittedODE, trace_field, trace_ode
from neurode.estimators.parameter_fits import add_unobserved, fit_ode, make_plan
from neurode.estimators.saving import write_model
from neurode.estimators.scaling import Scaling, apply, magnitudes
from neurode.estimators.series import first_states, observed_values, read_series
from neurode.estimators.settings import check_settings
from neurode.gradients import Checkpointed
from neurode.gradients.gradient import GradientStrategy
from neurode.models import SolveOptions
from neurode.nn import MLPField
from neurode.solvers import Tsit5
from neurode.solvers.solver import Solver


class NeuralODE(Estimator):
    """Dynamics y' = f(t, y) learned from observed trajectories.

    With `parameters`, `field` is an ODE you wrote, `field(t, y, p)`, and `fit` finds its unknown
    parameters: by maximum likelihood (Levenberg-Marquardt on exact sensitivities, in double
    precision) with standard errors from the Fisher information, or by another `method`. Without,
    `field` is a network (None: a fully connected one), trained by gradients through the solver.

    Args:
        field: `f(t, y, p) -> dy/dt` if there are parameters, p holding them by name (`p["a"]` or
            `p.a`); else an `equinox.Module` f(t, y), or None for an `MLPField`.
        parameters: start value of each unknown parameter by name; a list of names, or None for a
            value, starts from matched gradients. None for a network.
        method: of an ODE's fit. "shooting" solves each trajectory and maximises the likelihood.
            "multiple_shooting" fits segments of it first, each from a state of its own, and goes
            on from there: the same estimate, found from further away. "gradient_matching" and
            "orthogonality" (Brunel, Clairon and d'Alche-Buc 2014) solve nothing: they match the
            ODE to smoothing splines, need every variable, and are less precise.
        positive: names of parameters that are positive, or True for all.
        bounds: {name: (lower, upper)}; None for no bound on a side.
        transform: "log" for positive data with multiplicative noise: the noise is Gaussian in the
            logarithm, and a network learns the dynamics of the logarithm. "identity" otherwise.
        unobserved: components of an ODE's state that are not in the data, {name: a guess of the
            value at the start}; they come after the observed ones.
        initial: "learned" estimates where each trajectory starts, beginning with what was
            observed; "observed" takes the first observation for exact.
        noise: of an ODE's fit: "each" variable has noise of its own size, or "shared" one size.
        standardize: whether a network sees values of zero mean and unit variance and a time in
            which they change by about one; False gives it the user's own units.
        hidden: widths of the hidden layers of the default network.
        activation: of the default network.
        time_dependent: whether the default network sees the time.
        solver: the method that solves trajectories.
        rtol: relative tolerance; None takes 1e-8 for an ODE with parameters, else 1e-4.
        atol: absolute tolerance in units of the variables' size, likewise.
        max_steps: the budget of solver steps of one trajectory.
        gradient: how a network's solves are differentiated.
        steps: updates of a network.
        learning_rate: of AdamW, falling along a cosine.
        weight_decay: of AdamW, on the network's weights. More of it gives smoother dynamics,
            which few or noisy data want.
        batch_size: trajectories per update; None takes all.
        curriculum: share of the updates during which the fitted horizon grows from 15% of each
            trajectory to all of it; 0 fits all of it from the start.
        max_iterations: steps of the search for parameters at most.
        starts: searches for parameters, as lanes of one program, from the start values, matched
            gradients and around both. More than one is a remedy for local minima.
        segments: of each trajectory in multiple shooting; None is one for about eight times.
        random_state: seed or typed key of everything random; None draws one.
        progress: whether to show the training of a network.

    Attributes:
        parameters_: the fitted parameters by name.
        standard_errors_: of each, by name; NaN where the data determine none.
        intervals_: 95% intervals (lower, upper) by name, within the bounds.
        estimates_: all of that and more, as `Estimates`.
        field_: the fitted vector field: of the scaled state for a standardised network.
        initial_: the initial state of each trajectory, [n, d].
        start_times_: when each begins, [n].
        names_: the d variables.
        n_features_in_: d.
        noise_: standard deviation of what was not explained, per variable; of its logarithm if
            `transform="log"`.
        history_: per step: "loss" (mean square error in units of the variables' variance),
            "nfe_forward", "nfe_backward" (evaluations of the field per trajectory).
        stats_: seconds, steps, and whether the fit converged or was interrupted.
    """

    def __init__(
        self,
        field: Callable | None = None,
        *,
        parameters: Mapping[str, float | None] | Sequence[str] | None = None,
        method: str = "shooting",
        positive: Sequence[str] | bool = (),
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        transform: str = "identity",
        unobserved: Mapping[str, float] | None = None,
        initial: str = "learned",
        noise: str = "each",
        standardize: bool = True,
        hidden: Sequence[int] = (32, 32),
        activation: str = "tanh",
        time_dependent: bool = False,
        solver: Solver = Tsit5(),  # noqa: B008
        rtol: float | None = None,
        atol: float | None = None,
        max_steps: int = 4096,
        gradient: GradientStrategy = Checkpointed(),  # noqa: B008
        steps: int = 3000,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        batch_size: int | None = None,
        curriculum: float = 0.5,
        max_iterations: int = 100,
        starts: int = 1,
        segments: int | None = None,
        random_state: Any = 0,
        progress: bool = False,
    ):
        self.field = field
        self.parameters = parameters
        self.method = method
        self.positive = positive
        self.bounds = bounds
        self.transform = transform
        self.unobserved = unobserved
        self.initial = initial
        self.noise = noise
        self.standardize = standardize
        self.hidden = hidden
        self.activation = activation
        self.time_dependent = time_dependent
        self.solver = solver
        self.rtol = rtol
        self.atol = atol
        self.max_steps = max_steps
        self.gradient = gradient
        self.steps = steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.curriculum = curriculum
        self.max_iterations = max_iterations
        self.starts = starts
        self.segments = segments
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        ts: Any,
        ys: Any = None,
        *,
        names: Sequence[str] | None = None,
        run: str | Path | None = None,
        resume: bool = True,
    ) -> "NeuralODE":
        """Learn from one or many trajectories.

        Args:
            ts: strictly increasing times [T] or [n, T]; a list of arrays; a list of pairs (times,
                values); a `SeriesBatch` or `Table`. The last three leave out `ys`.
            ys: values [T], [T, d] or [n, T, d], a pandas frame, or a list; NaN is missing.
            names: the d variables; None takes a frame's columns, or y0, y1, ….
            run: a folder for the checkpoints of a network's training, which Ctrl-C saves and the
                same call goes on with. A fit of parameters writes none.
            resume: False starts anew in that folder.

        Returns:
            The estimator itself.

        Raises:
            DataError: times or values cannot be used; the message says where and why.
            SettingError: an argument of the estimator cannot be.
            SolveError: the ODE cannot be solved at the start values.
            TrainingError: training met what is not finite.
        """
        check_settings(self)
        began = time.monotonic()
        hidden = dict(self.unobserved or {})
        series = add_unobserved(read_series(ts, ys, names), hidden)
        first = first_states(series, self.transform, self.initial == "learned", hidden)
        if self.parameters is None:
            self._fit_network(series, first, run, resume)
        else:
            self._fit_parameters(series, first)
        self.names_, self.n_features_in_ = series.names, len(series.names)
        self.start_times_ = np.asarray(series.ts[:, 0], np.float64)
        if self.parameters is None:
            self.noise_ = self._residual_spread(series)
        self.stats_ = {"seconds": time.monotonic() - began, **self.stats_}
        return self

    def predict(self, ts: Any, y0: Any = None) -> Any:
        """The trajectories at any times, before, within or beyond the data.

        Args:
            ts: increasing times [T], or one such array per trajectory ([n, T] or a list).
            y0: None continues the fitted trajectories from where they start. A state [d], or one
                per trajectory [m, d], is the state at the first of the times instead.

        Returns:
            Values [T, d] of one trajectory; [n, T, d] of several, a list if the times were one.

        Raises:
            NotFittedError: before `fit`.
            DataError: times or states cannot be used.
            SolveError: the fitted dynamics cannot be followed to these times.
        """
        self._check_fitted()
        times, start, initial, restore = lay_out(
            ts, y0, self.start_times_, self.initial_, self.names_, self.transform
        )
        return restore(forecast(self._fitted(), start, initial, times))

    def score(self, ts: Any, ys: Any = None, *, y0: Any = None) -> float:
        """The coefficient of determination R^2 of the predictions, averaged over variables.

        Args:
            ts: as in `fit`.
            ys: as in `fit`; what is NaN does not count.
            y0: as in `predict`; None scores the fitted trajectories.

        Returns:
            1 for perfect predictions, 0 for ones as good as each variable's mean.
        """
        self._check_fitted()
        series = read_series(ts, ys, self.names_)
        rows = [series.unpad(i) for i in range(len(series))]
        count = len(self.initial_) if y0 is None else max(1, np.size(y0) // self.n_features_in_)
        if len(rows) != count:
            raise DataError(
                f"{len(rows)} trajectories to score but {count} initial states: give y0 with one "
                "state per trajectory"
            )
        predicted = self.predict([times for times, _ in rows], y0=y0)
        return coefficient_of_determination([values for _, values in rows], predicted)

    def summary(self) -> None:
        """Print the fitted parameters with standard errors and 95% intervals.

        Raises:
            NotFittedError: before `fit`.
            SettingError: a network was fitted, whose weights have no such meaning.
        """
        print(self.summary_text())

    def summary_text(self) -> str:
        """What `summary` prints."""
        self._check_fitted()
        if self.estimates_ is None:
            seconds = self.stats_["seconds"]
            noise = ", ".join(f"{n} {s:.3g}" for n, s in zip(self.names_, self.noise_, strict=True))
            return (
                f"a network fitted to {len(self.initial_)} trajectories of "
                f"{', '.join(self.names_)} in {self.stats_['steps']} steps ({seconds:.1f} s)\n"
                f"residual sd{' of the logarithm' if self.transform == 'log' else ''}: {noise}"
            )
        return tabulate(self.estimates_, self.names_, self.transform == "log")

    def _write(self, path: str | Path) -> Path:
        return write_model(path, self)

    def _fit_parameters(self, series: SeriesBatch, first: np.ndarray) -> None:
        assert self.field is not None
        assert self.parameters is not None
        trace_ode(self.field, list(self.parameters), len(series.names))
        found = fit_ode(self.field, series, first, make_plan(self, self._options()))
        self._adopt(found.estimates)
        self.dtype_ = "float64"
        self.scaling_ = Scaling.identity(len(series.names))
        sizes = observed_values(series)
        sizes[:, 0] = np.where(np.asarray(series.mask).any(axis=(0, 1)), sizes[:, 0], first)
        self.magnitude_ = magnitudes(sizes)
        self.history_ = found.history
        self.stats_ = {
            "steps": len(found.history["step"]) - 1,
            "converged": found.converged,
            "interrupted": False,
        }

    def _adopt(self, estimates: Estimates) -> None:
        """Take over fitted parameters: after a fit, or from a file."""
        assert self.field is not None
        names = estimates.names
        self.estimates_ = estimates
        self.parameters_ = dict(zip(names, estimates.values.tolist(), strict=True))
        self.standard_errors_ = dict(zip(names, estimates.standard_errors.tolist(), strict=True))
        self.intervals_ = dict(zip(names, map(tuple, estimates.intervals.tolist()), strict=True))
        self.initial_, self.noise_ = estimates.initial, estimates.noise
        self.field_ = FittedODE(self.field, names, estimates.values)

    def _fit_network(
        self, series: SeriesBatch, first: np.ndarray, run: str | Path | None, resume: bool
    ) -> None:
        d, key = len(series.names), self._key()
        ys = observed_values(series)
        scaling = Scaling(self.transform, np.zeros(d), np.ones(d))
        if self.standardize:
            scaling = Scaling.standardise(np.asarray(series.ts, float), ys, self.transform)
        self.magnitude_ = magnitudes(scaling.states(ys))
        field = self.field
        if field is None:
            field = MLPField(
                d,
                tuple(self.hidden),
                activation=self.activation,
                time_dependent=self.time_dependent,
                key=jax.random.fold_in(key, 1),
            )
        dtype = jnp.result_type(float)
        trace_field(field, d, dtype)
        model, result = fit_network(
            field,
            series,
            first,
            scaling,
            self.magnitude_,
            is_learned=self.initial == "learned",
            options=self._options(),
            schedule=Schedule(
                self.steps,
                self.learning_rate,
                self.weight_decay,
                self.batch_size,
                self.curriculum,
            ),
            key=key,
            config=self._config(),
            run=run,
            resume=resume,
            progress=self.progress,
        )
        self.estimates_ = None
        self.field_, self.scaling_, self.dtype_ = model.field, scaling, np.dtype(dtype).name
        self.initial_ = scaling.values(np.asarray(model.initial, np.float64))
        self.history_ = result.history
        self.stats_ = {
            "steps": result.steps_done,
            "converged": not result.interrupted,
            "interrupted": result.interrupted,
        }

    def _config(self) -> dict[str, Any]:
        """What decides a network's fit beside its data and its weights, for a run's folder."""
        options = self._options()
        names = ("transform", "initial", "steps", "learning_rate", "weight_decay", "curriculum")
        return {
            "estimator": type(self).__name__,
            "tolerances": [options.rtol, options.atol],
            "solver": repr(self.solver),
            "gradient": repr(self.gradient),
            **{name: getattr(self, name) for name in names},
        }

    def _options(self) -> SolveOptions:
        default = 1e-4 if self.parameters is None else 1e-8
        return SolveOptions(
            solver=self.solver,
            rtol=default if self.rtol is None else float(self.rtol),
            atol=default if self.atol is None else float(self.atol),
            max_steps=int(self.max_steps),
            gradient=self.gradient,
        )

    def _fitted(self) -> Fitted:
        return Fitted(self.field_, self.scaling_, self.magnitude_, self._options(), self.dtype_)

    def _residual_spread(self, series: SeriesBatch) -> np.ndarray:
        rows = [series.unpad(i) for i in range(len(series))]
        predicted = self.predict([times for times, _ in rows])
        pairs = zip(rows, predicted, strict=True)
        gaps = [apply(self.transform, y) - apply(self.transform, p) for (_, y), p in pairs]
        return np.sqrt(np.nanmean(np.concatenate(gaps) ** 2, axis=0))
