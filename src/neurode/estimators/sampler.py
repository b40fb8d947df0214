"""`DensitySampler`: a flow fitted to an energy, when nothing else is known of a density."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from neurode.data import DataError, FullBatch
from neurode.estimators.carrying import carry, draw_base, score_rows
from neurode.estimators.columns import Columns, DensityWarning, check_rows
from neurode.estimators.context import Context
from neurode.estimators.estimator import Estimator, SettingError, as_key, check_number
from neurode.estimators.flow_files import write_flow
from neurode.estimators.flow_settings import check_flow_settings, read_hidden
from neurode.estimators.flow_training import Schedule, make_flow, train_flow
from neurode.estimators.tables import read_table_rows
from neurode.estimators.updates import count_skipped
from neurode.gradients import Backsolve
from neurode.gradients.gradient import GradientStrategy
from neurode.models import ReverseKL, SolveOptions
from neurode.solvers import Tsit5
from neurode.solvers.solver import Solver

_TRIED = 256  # points of the base at which an energy is tried before training
_FAR = 10.0  # rms of samples, in units of scale: where an energy that holds them would have to be
_SCORE = 1e-6


class Weighted(NamedTuple):
    """Samples with importance weights.

    Attributes:
        x: [n, d].
        log_weights: log p(x) - log q(x), p unnormalised, [n].
    """

    x: np.ndarray
    log_weights: np.ndarray


class DensitySampler(Estimator):
    """Samples from a density that is known up to its normaliser, and the normaliser.

    A flow q is fitted by minimising KL(q || p) on its own samples, as in the density matching of
    Chen et al. (2018), section 4.1. It likes to leave out modes that are far from where it starts:
    choose `location` and `scale` so that the base covers them.

    Args:
        log_unnormalised: log p(x) up to a constant, one point [dim] -> a number, in jax.numpy.
            None only for a sampler that was loaded.
        dim: the dimension.
        location: mean of the base, a number or [dim].
        scale: standard deviation of the base, a number or [dim].
        field: as in `ContinuousFlow`.
        hidden: as in `ContinuousFlow`.
        activation: as in `ContinuousFlow`.
        samples: drawn per update.
        check_samples: drawn after the fit, for the normaliser.
        solver: the method.
        rtol: relative tolerance in training.
        atol: absolute tolerance in training, in units of `scale`.
        max_steps: the budget of an iteration's solve; an iteration that needs more is left out.
        gradient: how training solves are differentiated.
        steps: updates.
        learning_rate: of AdamW, falling along a cosine.
        weight_decay: of AdamW.
        random_state: seed or typed key of everything random.
        progress: whether to show the training.

    Attributes:
        flow_: the fitted `Flow`, in units of `scale` around `location`.
        log_normaliser_: log Z, estimated by importance sampling from the flow.
        log_normaliser_error_: its standard error.
        elbo_: the mean of log p(x) - log q(x), which is below log Z by KL(q || p).
        effective_sample_size_: (sum w)² / sum w² of the weights w = p / q, as a share of the
            samples: 1 if the flow is exact.
        history_: per step: "loss" (KL up to log Z, in nats), "spread" (root mean square of the
            samples in units of `scale`), "nfe_forward", "nfe_backward".
        stats_: seconds, steps, iterations skipped, and whether training was interrupted.
    """

    _facts = (
        "log_normaliser_",
        "log_normaliser_error_",
        "elbo_",
        "effective_sample_size_",
    )
    _average = True  # the sum turns stiff when it learns from an energy

    def __init__(
        self,
        log_unnormalised: Callable | None = None,
        dim: int = 2,
        *,
        location: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        field: Any = "planar",
        hidden: int | Sequence[int] | None = None,
        activation: str = "tanh",
        samples: int = 512,
        check_samples: int = 10_000,
        solver: Solver = Tsit5(),  # noqa: B008
        rtol: float = 1e-5,
        atol: float = 1e-5,
        max_steps: int = 256,
        gradient: GradientStrategy = Backsolve(),  # noqa: B008
        steps: int = 3000,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        random_state: Any = 0,
        progress: bool = False,
    ):
        self.log_unnormalised = log_unnormalised
        self.dim = dim
        self.location = location
        self.scale = scale
        self.field = field
        self.hidden = hidden
        self.activation = activation
        self.samples = samples
        self.check_samples = check_samples
        self.solver = solver
        self.rtol = rtol
        self.atol = atol
        self.max_steps = max_steps
        self.gradient = gradient
        self.steps = steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.random_state = random_state
        self.progress = progress

    def fit(
        self, X: Any = None, y: Any = None, *, run: str | Path | None = None, resume: bool = True
    ) -> "DensitySampler":
        """Fit the flow to the energy.

        Args:
            X: not used; there are no data.
            y: not used.
            run: a folder for checkpoints, which Ctrl-C saves and the same call goes on with.
            resume: False starts anew in that folder.

        Returns:
            The estimator itself.

        Raises:
            SettingError: an argument cannot be.
            DataError: the energy is NaN or infinite where the base has its samples.
            TrainingError: training met what is not finite, again and again.
        """
        del X, y
        began = time.monotonic()
        check_flow_settings(self)
        for name in ("dim", "samples", "check_samples"):
            check_number(name, getattr(self, name), least=1, whole=True)
        columns = self._columns()
        for_field, for_fit, for_check = jax.random.split(self._key(), 3)
        energy = self._energy(columns)
        self._try_energy(columns, for_check)
        flow = make_flow(
            self.field,
            self.dim,
            0,
            hidden=read_hidden(self.hidden, self.field),
            activation=self.activation,
            base="normal",
            average=self._average,
            key=for_field,
        )
        options = SolveOptions(
            self.solver, float(self.rtol), float(self.atol), int(self.max_steps), self.gradient
        )
        result = train_flow(
            ReverseKL(energy, options, int(self.dim), int(self.samples)),
            flow,
            FullBatch(jnp.zeros((1, 0))),  # samples come from the key
            Schedule(int(self.steps), float(self.learning_rate), float(self.weight_decay)),
            max_steps=self.max_steps,
            evaluations=self.solver.evaluations.step,
            key=for_fit,
            config=self._config(),
            run=run,
            resume=resume,
            progress=self.progress,
        )
        self.flow_, self.columns_ = result.model, columns
        self.names_, self.n_features_in_ = columns.names, int(self.dim)
        self.dtype_ = np.dtype(jnp.result_type(float)).name
        self.context_ = Context.fit(None, 0)
        self.history_ = result.history
        self._weigh(self.sample_weighted(self.check_samples, random_state=for_check))
        self.stats_ = {
            "seconds": time.monotonic() - began,
            "steps": result.steps_done,
            "skipped": count_skipped(result.history),
            "interrupted": result.interrupted,
        }
        self._warn_if_escaping()
        return self

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> np.ndarray:
        """Draw points from the flow, [n, dim].

        Args:
            n_samples: how many.
            random_state: seed or typed key; None takes the estimator's own, the same every time.

        Raises:
            NotFittedError: before `fit`.
            SolveError: a sample could not be carried.
        """
        return self._draw(n_samples, random_state)[0]

    def sample_weighted(self, n_samples: int = 1, *, random_state: Any = None) -> Weighted:
        """Draw points with the weights that make up for where the flow is not the density.

        Args:
            n_samples: how many.
            random_state: as in `sample`.

        Raises:
            NotFittedError: before `fit`.
            SettingError: the sampler was loaded, and does not know the energy.
        """
        x, log_q = self._draw(n_samples, random_state)
        energy = self.log_unnormalised
        if energy is None:
            raise SettingError(
                "a loaded sampler does not know its energy: set sampler.log_unnormalised = f first"
            )
        with jax.enable_x64(self.dtype_ == "float64"):
            log_p = jax.vmap(energy)(jnp.asarray(x, self.dtype_))
        return Weighted(x, np.asarray(log_p, np.float64) - log_q)

    def score_samples(self, X: Any) -> np.ndarray:
        """The log-density of the flow at each row, normalised, in nats, [n].

        Args:
            X: rows [n, dim].

        Raises:
            NotFittedError: before `fit`.
            DataError: the rows cannot be used.
            SolveError: a row could not be carried.
        """
        self._check_fitted()
        x, _ = read_table_rows(X, self.names_)
        check_rows(x, self.names_)
        return score_rows(self.flow_, self.columns_, x, self._options(), self.dtype_)

    def _write(self, path: str | Path) -> Path:
        return write_flow(path, self)

    def _draw(self, n: int, random_state: Any) -> tuple[np.ndarray, np.ndarray]:
        self._check_fitted()
        check_number("n_samples", n, least=1, whole=True)
        own = jax.random.fold_in(self._key(), 1)
        key = own if random_state is None else as_key(random_state)
        z = draw_base(self.flow_, int(n), self.n_features_in_, key, self.dtype_)
        log_base = -0.5 * np.sum(z**2 + math.log(2 * math.pi), axis=1)
        moved = carry(self.flow_, z, (0.0, 1.0), self._options(), self.dtype_)
        x = self.columns_.inverse(moved.z)
        return x, log_base - moved.change - np.log(self.columns_.scale).sum()

    def _weigh(self, drawn: Weighted) -> None:
        log_w, n = drawn.log_weights, len(drawn.log_weights)
        total = logsumexp(log_w)
        self.elbo_ = float(log_w.mean())
        self.log_normaliser_ = float(total - math.log(n))  # pyright: ignore[reportOperatorIssue]
        weights = np.exp(log_w - log_w.max())
        self.effective_sample_size_ = float(weights.sum() ** 2 / (weights**2).sum() / n)
        # The delta method: the relative standard error of the mean weight.
        self.log_normaliser_error_ = float(weights.std() / weights.mean() / math.sqrt(n))

    def _warn_if_escaping(self) -> None:
        spread = self.history_["spread"]
        spread = spread[np.isfinite(spread)]
        half, last = spread[len(spread) // 2 :][:20].mean(), spread[-20:].mean()
        # Not only while they spread: a learning rate that decays stops them anywhere.
        if last > _FAR:
            warnings.warn(
                f"the samples have spread to {last:.3g} times the scale of the base "
                f"({half:.3g} at half time): the energy is probably not "
                "normalisable, and log Z has no meaning. Confine it, for example by a term "
                "-0.5 * jnp.sum((x / 100) ** 2)",
                DensityWarning,
                stacklevel=3,
            )
        elif not np.isfinite(self.log_normaliser_):
            warnings.warn(
                f"log Z is {self.log_normaliser_}: the energy is not finite where the flow has "
                "samples",
                DensityWarning,
                stacklevel=3,
            )

    def _columns(self) -> Columns:
        d = int(self.dim)
        try:
            location = np.broadcast_to(np.asarray(self.location, np.float64), (d,))
            scale = np.broadcast_to(np.asarray(self.scale, np.float64), (d,))
        except (TypeError, ValueError):
            raise SettingError(
                f"location and scale must be numbers or have dim={d} entries, got "
                f"{self.location!r} and {self.scale!r}"
            ) from None
        if not (np.isfinite(location).all() and (scale > 0).all() and np.isfinite(scale).all()):
            raise SettingError(
                f"location must be finite and scale positive, got {self.location!r} and "
                f"{self.scale!r}"
            )
        names = tuple(f"x{i}" for i in range(d))
        free = np.full(d, math.inf)
        return Columns(names, -free, free, np.zeros(d, bool), location.copy(), scale.copy())

    def _energy(self, columns: Columns) -> Callable:
        """The energy in the flow's units."""
        energy = self.log_unnormalised
        if not callable(energy):
            raise SettingError(
                f"log_unnormalised must be a function of one point [dim], got {energy!r}"
            )
        dtype = jnp.result_type(float)
        shape = jax.ShapeDtypeStruct((int(self.dim),), dtype)
        try:
            found = jax.eval_shape(energy, shape)
        except Exception as error:
            raise SettingError(
                f"log_unnormalised failed on one point of shape ({self.dim},): {error}"
            ) from error
        if getattr(found, "shape", None) != ():
            raise SettingError(
                f"log_unnormalised must return one number for one point of shape ({self.dim},); it "
                f"returned {found!r}"
            )
        centre, scale = jnp.asarray(columns.centre, dtype), jnp.asarray(columns.scale, dtype)
        log_scale = float(np.log(columns.scale).sum())
        return lambda y: energy(centre + scale * y) + log_scale

    def _try_energy(self, columns: Columns, key: Any) -> None:
        y = np.asarray(jax.random.normal(key, (_TRIED, int(self.dim))), np.float64)
        x = columns.inverse(y)
        assert self.log_unnormalised is not None
        values = np.asarray(jax.vmap(self.log_unnormalised)(jnp.asarray(x)))
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            point = ", ".join(f"{c:.3g}" for c in x[bad[0]])
            hint = "it must be a number everywhere"
            if values[bad[0]] == -np.inf:
                hint = (
                    "KL(q || p) is infinite as long as the flow has samples there: use a steep "
                    "wall instead, or choose location and scale so that the base stays inside"
                )
            raise DataError(
                f"log_unnormalised is {values[bad[0]]} at x = [{point}] ({len(bad)} of {_TRIED} "
                f"points of the base): {hint}"
            )

    def _options(self) -> SolveOptions:
        return SolveOptions(
            self.solver,
            min(_SCORE, float(self.rtol)),
            min(_SCORE, float(self.atol)),
            max(4096, int(self.max_steps)),
            self.gradient,
        )

    def _config(self) -> dict[str, Any]:
        names = ("rtol", "atol", "max_steps", "samples", "steps", "learning_rate", "weight_decay")
        return {
            "estimator": type(self).__name__,
            "solver": repr(self.solver),
            "gradient": repr(self.gradient),
            "energy": getattr(self.log_unnormalised, "__qualname__", "energy"),
            "location": np.asarray(self.location).tolist(),
            "scale": np.asarray(self.scale).tolist(),
            **{name: getattr(self, name) for name in names},
        }
