"""`ContinuousFlow`: the density of a table, by a continuous normalizing flow."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurode.data import DataError
from neurode.estimators.carrying import carry, draw_base, round_trip, score_rows
from neurode.estimators.columns import (
    Columns,
    check_rows,
    check_sample,
    dequantisation_nodes,
    fit_columns,
)
from neurode.estimators.context import Context
from neurode.estimators.estimator import Estimator, as_key, check_choice, check_number
from neurode.estimators.flow_files import write_flow
from neurode.estimators.flow_settings import TRACES, check_flow_settings, read_hidden
from neurode.estimators.flow_training import (
    Schedule,
    make_batches,
    make_flow,
    smoothing_width,
    train_flow,
)
from neurode.estimators.tables import read_table_rows
from neurode.estimators.updates import count_skipped
from neurode.gradients import Backsolve
from neurode.gradients.gradient import GradientStrategy
from neurode.models import FlowLikelihood, SolveOptions
from neurode.nn import ExactTrace, Hutchinson, Trace
from neurode.solvers import Tsit5
from neurode.solvers.solver import Solver
from neurode.training import FitResult

_CHECKED = 1000  # rows that go there and back after a fit
_SCORE_TIGHTER = 0.1  # tolerance of scores and samples, as a share of that of training
_SCORE_STEPS = 4096


class ContinuousFlow(Estimator):
    """The density of a table's rows, learned as a flow from a simple base density.

    In the manner of scikit-learn's `KernelDensity` and `GaussianMixture`. A row z of the base is
    carried by dz/dt = f(t, z) from t = 0 to 1, and its log-density falls by the integral of
    tr(df/dz) on the way (Theorem 1 of Chen et al. 2018). Columns are standardised inside; all that
    goes in and comes out is in the table's own units, densities in nats per row.

    Args:
        field: "planar" (the paper's, with hypernetwork and gates; its divergence has a closed
            form in any dimension), "concatsquash" (FFJORD's layers), "mlp", or an
            equinox.Module f(t, z) or f(t, z, context) whose leading axes are rows.
        hidden: width of the planar field, or of each hidden layer; None is 64, or (64, 64).
        activation: of "concatsquash" and "mlp".
        base: "normal", or "student" for heavy tails, which a flow cannot make from light ones.
        discrete: names of columns that hold whole numbers, or True for all. Noise on [0, 1) makes
            them continuous, and `score_samples` integrates over it: probabilities, not densities.
        bounds: {name: (lower, upper)} of columns with bounds, None for no bound on a side; they
            are unbounded inside by a logarithm or logit.
        standardize: whether the flow sees columns of zero mean and unit variance.
        smoothing: standard deviation of the noise on the rows in training, as a share of the
            columns' own, which keeps a flow from learning few rows by heart; None chooses by the
            number of rows, 0 is plain maximum likelihood.
        trace: of training: "exact", or an estimate of the divergence by random "rademacher" or
            "gaussian" vectors, fixed in each solve; "auto" is exact for a planar field and up to 8
            columns, else "rademacher".
        solver: the method.
        rtol: relative tolerance in training; scores and samples take a tenth of it.
        atol: absolute tolerance, likewise, in standard deviations of the columns.
        max_steps: the budget of an iteration's solve; an iteration that needs more is left out.
        gradient: how training solves are differentiated.
        steps: updates.
        learning_rate: of AdamW, falling along a cosine.
        weight_decay: of AdamW.
        batch_size: rows per update.
        random_state: seed or typed key of everything random; None draws one.
        progress: whether to show the training.

    Attributes:
        flow_: the fitted `Flow`, in standardised units.
        columns_: between the table's units and those.
        names_: the d columns.
        n_features_in_: d.
        history_: per step: "loss" (the negative log-likelihood of the batch in nats, NaN where an
            iteration was left out), "nfe_forward", "nfe_backward".
        round_trip_error_: the largest |x - x'| of training rows x that were carried to the base
            and back, in standard deviations of the columns.
        stats_: seconds, steps, iterations skipped, and whether training was interrupted.
    """

    def __init__(
        self,
        field: Any = "planar",
        *,
        hidden: int | Sequence[int] | None = None,
        activation: str = "tanh",
        base: str = "normal",
        discrete: Sequence[str] | bool = (),
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        standardize: bool = True,
        smoothing: float | None = None,
        trace: str = "auto",
        solver: Solver = Tsit5(),  # noqa: B008
        rtol: float = 1e-5,
        atol: float = 1e-5,
        max_steps: int = 256,
        gradient: GradientStrategy = Backsolve(),  # noqa: B008
        steps: int = 2000,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        batch_size: int = 512,
        random_state: Any = 0,
        progress: bool = False,
    ):
        self.field = field
        self.hidden = hidden
        self.activation = activation
        self.base = base
        self.discrete = discrete
        self.bounds = bounds
        self.standardize = standardize
        self.smoothing = smoothing
        self.trace = trace
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
        X: Any,
        y: Any = None,
        *,
        context: Any = None,
        names: Sequence[str] | None = None,
        run: str | Path | None = None,
        resume: bool = True,
    ) -> "ContinuousFlow":
        """Learn the density of a table's rows.

        Args:
            X: rows [n, d]: an array, a pandas frame, or `Rows`.
            y: not used.
            context: what the density is conditioned on, [n, c], or None.
            names: the d columns; None takes a frame's, or x0, x1, ….
            run: a folder for checkpoints, which Ctrl-C saves and the same call goes on with.
            resume: False starts anew in that folder.

        Returns:
            The estimator itself.

        Raises:
            DataError: the table cannot be used; the message says where and why.
            SettingError: an argument of the estimator cannot be.
            TrainingError: training met what is not finite, again and again.
        """
        del y
        check_flow_settings(self)
        began = time.monotonic()
        x, names = read_table_rows(X, names)
        check_rows(x, names)
        columns = fit_columns(
            x,
            names,
            discrete=self.discrete,
            bounds=self.bounds,
            standardize=self.standardize,
            robust=self.base == "student",
        )
        check_sample(x, columns, self.base)
        self.context_ = Context.fit(context, len(x))
        scaled = self.context_.apply(context, len(x))
        result = self._train(x, columns, scaled, run, resume)
        self.flow_, self.columns_ = result.model, columns
        self.dtype_ = np.dtype(jnp.result_type(float)).name
        self.names_, self.n_features_in_ = tuple(names), len(names)
        # From the flow's units to the table's: the mean log-Jacobian of the rows.
        slopes = columns.forward(x)[1]
        self.history_ = result.history | {"loss": result.history["loss"] - slopes.mean()}
        y, rows = columns.forward(x[:_CHECKED])[0], None if scaled is None else scaled[:_CHECKED]
        self.round_trip_error_ = round_trip(self.flow_, y, self._options(), self.dtype_, rows)
        self.stats_ = {
            "seconds": time.monotonic() - began,
            "steps": result.steps_done,
            "skipped": count_skipped(result.history),
            "rows": len(x),
            "interrupted": result.interrupted,
        }
        return self

    def score_samples(
        self, X: Any, context: Any = None, *, trace: str = "exact", random_state: Any = 0
    ) -> np.ndarray:
        """The log-density of each row in nats; of whole numbers their log-probability.

        Args:
            X: rows [n, d].
            context: [n, c], or [c] for all rows, if the flow has one.
            trace: "exact", or an unbiased estimate by "rademacher" or "gaussian" vectors.
            random_state: seed of the latter.

        Returns:
            [n]; -inf outside the bounds of a column, and so far out that it underflows.

        Raises:
            NotFittedError: before `fit`.
            DataError: the rows cannot be used.
            SolveError: a row could not be carried to the base.
        """
        self._check_fitted()
        x = self._read(X)
        scaled = self.context_.apply(context, len(x))
        check_choice("trace", trace, TRACES)
        estimate = ExactTrace() if trace == "exact" else Hutchinson(trace)
        how = {"context": scaled, "trace": estimate, "key": as_key(random_state)}
        fitted = (self.flow_, self.columns_, x, self._options(), self.dtype_)
        if not self.columns_.discrete.any():
            return score_rows(*fitted, **how)
        nodes = dequantisation_nodes(len(self.names_))
        total = np.full(len(x), -np.inf)
        for u in nodes:
            total = np.logaddexp(total, score_rows(*fitted, u=u, **how))
        is_whole = ~self.columns_.discrete | (x == np.round(x))
        return np.where(is_whole.all(axis=1), total - np.log(len(nodes)), -np.inf)

    def score(self, X: Any, y: Any = None, context: Any = None) -> float:
        """The mean log-density of the rows in nats, as `GaussianMixture` has it.

        Args:
            X: rows [n, d].
            y: not used.
            context: as in `score_samples`.
        """
        del y
        return float(np.mean(self.score_samples(X, context)))

    def sample(
        self, n_samples: int = 1, context: Any = None, *, random_state: Any = None
    ) -> np.ndarray:
        """Draw rows from the fitted density.

        Args:
            n_samples: how many.
            context: [c], or one for each sample [n, c], if the flow has one.
            random_state: seed or typed key; None takes the estimator's own, the same every time.

        Returns:
            [n, d], in the table's units.

        Raises:
            NotFittedError: before `fit`.
            SolveError: a sample could not be carried to the data.
        """
        self._check_fitted()
        check_number("n_samples", n_samples, least=1, whole=True)
        own = jax.random.fold_in(self._key(), 1)
        key = own if random_state is None else as_key(random_state)
        z = draw_base(self.flow_, int(n_samples), self.n_features_in_, key, self.dtype_)
        return self.inverse_transform(z, context)

    def transform(self, X: Any, context: Any = None) -> np.ndarray:
        """Carry rows to the base: z [n, d], standard normal if the density is right.

        Args:
            X: rows [n, d], inside the bounds of all columns.
            context: as in `score_samples`.
        """
        self._check_fitted()
        x = self._read(X)
        y, slopes = self.columns_.forward(x)
        outside = np.flatnonzero(~np.isfinite(slopes))
        if len(outside):
            raise DataError(f"row {outside[0]} lies outside the bounds of a column")
        scaled = self.context_.apply(context, len(x))
        return carry(self.flow_, y, (1.0, 0.0), self._options(), self.dtype_, context=scaled).z

    def inverse_transform(self, Z: Any, context: Any = None) -> np.ndarray:
        """Carry rows of the base to the table: x [n, d], in its units.

        Args:
            Z: rows [n, d].
            context: as in `sample`.
        """
        self._check_fitted()
        z = self._read(Z)
        scaled = self.context_.apply(context, len(z))
        found = carry(self.flow_, z, (0.0, 1.0), self._options(), self.dtype_, context=scaled)
        return self.columns_.inverse(found.z)

    def summary_text(self) -> str:
        """What came out, in a few lines."""
        self._check_fitted()
        last = self.history_["loss"][-max(1, len(self.history_["loss"]) // 20) :]
        skipped = self.stats_["skipped"]
        return (
            f"a flow of {', '.join(self.names_)} fitted to {self.stats_['rows']} rows in "
            f"{self.stats_['steps']} steps ({self.stats_['seconds']:.1f} s)\n"
            f"log-likelihood of the last batches: {-np.nanmean(last):.4g} nats per row\n"
            f"iterations skipped: {skipped}; there and back: {self.round_trip_error_:.1e} "
            "standard deviations"
        )

    def _write(self, path: str | Path) -> Path:
        return write_flow(path, self)

    def _train(
        self,
        x: np.ndarray,
        columns: Columns,
        context: np.ndarray | None,
        run: str | Path | None,
        resume: bool,
    ) -> FitResult:
        n, d = x.shape
        for_field, for_batches, for_fit = jax.random.split(self._key(), 3)
        flow = make_flow(
            self.field,
            d,
            len(self.context_.centre),
            hidden=read_hidden(self.hidden, self.field),
            activation=self.activation,
            base=self.base,
            average=self._average,
            key=for_field,
        )
        smoothing = smoothing_width(n, d) if self.smoothing is None else float(self.smoothing)
        options = SolveOptions(
            self.solver, float(self.rtol), float(self.atol), int(self.max_steps), self.gradient
        )
        return train_flow(
            FlowLikelihood(options, self._training_trace(d)),
            flow,
            make_batches(x, columns, context, self.batch_size, smoothing, for_batches),
            Schedule(int(self.steps), float(self.learning_rate), float(self.weight_decay)),
            max_steps=self.max_steps,
            evaluations=self.solver.evaluations.step,
            key=for_fit,
            config=self._config(),
            run=run,
            resume=resume,
            progress=self.progress,
        )

    _facts = ("round_trip_error_",)  # numbers that a file holds beside the flow
    _average = False  # whether a planar field has the mean over its units

    def _read(self, X: Any) -> np.ndarray:
        x, _ = read_table_rows(X, self.names_)
        check_rows(x, self.names_)
        return x

    def _training_trace(self, d: int) -> Trace:
        kind = self.trace
        if kind == "auto":
            kind = "exact" if self.field == "planar" or d <= 8 else "rademacher"
        return ExactTrace() if kind == "exact" else Hutchinson(kind)

    def _options(self) -> SolveOptions:
        """How scores and samples are solved: more tightly, and with room for hard rows."""
        finest = 1e-6 if self.dtype_ == "float32" else 0.0
        rtol, atol = (max(_SCORE_TIGHTER * float(x), finest) for x in (self.rtol, self.atol))
        steps = max(_SCORE_STEPS, int(self.max_steps))
        return SolveOptions(self.solver, rtol, atol, steps, self.gradient)

    def _config(self) -> dict[str, Any]:
        """What decides a fit beside its data and its weights, for a run's folder."""
        names = ("base", "trace", "rtol", "atol", "max_steps", "steps", "learning_rate")
        return {
            "estimator": type(self).__name__,
            "solver": repr(self.solver),
            "gradient": repr(self.gradient),
            **{name: getattr(self, name) for name in (*names, "weight_decay", "batch_size")},
        }
