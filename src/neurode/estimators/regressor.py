"""`ODENetRegressor`: an ODE as the hidden layers of a regression, for tables and images."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from neurode.estimators.samples import Standardiser, read_training, read_weights
from neurode.estimators.supervised import SupervisedODENet
from neurode.estimators.supervised_settings import check_supervised_settings
from neurode.estimators.supervised_training import Examples
from neurode.models import SquaredError


class ODENetRegressor(RegressorMixin, SupervisedODENet):
    """A regression whose hidden layers are an ODE; see `SupervisedODENet` for how, and all else.

    Attributes:
        targets_: how targets are standardised.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        names: Sequence[str] | None = None,
        run: str | Path | None = None,
        resume: bool = True,
    ) -> "ODENetRegressor":
        """Learn numbers from examples, by least squares.

        Args:
            X: a table [n, d] (an array or a pandas frame), or images.
            y: targets [n] or [n, k].
            sample_weight: [n], or None.
            names: the d columns; None takes a frame's, or x0, x1, ….
            run: a folder for checkpoints, which Ctrl-C saves and the same call goes on with.
            resume: False starts anew in that folder.

        Returns:
            The estimator itself.

        Raises:
            DataError: the examples cannot be used; the message says where and why.
            SettingError: an argument of the estimator cannot be.
            ConfigMismatch: the run folder holds a fit with other settings.
            TrainingError: training met what is not finite, again and again.
        """
        began = time.monotonic()
        check_supervised_settings(self)
        x, y = read_training(self, X, y, names, numeric=True)
        weights = read_weights(sample_weight, x)
        used = weights > 0
        x, y, weights = x[used], np.asarray(y, np.float64)[used], weights[used]
        columns = y.reshape(len(y), -1)
        self.is_column_ = y.ndim == 1
        self.inputs_ = Standardiser.fit(x, weights)
        self.targets_ = Standardiser.fit(columns, weights)
        examples = Examples(
            self.inputs_.apply(x), self.targets_.apply(columns), weights / weights.mean()
        )
        self._train(SquaredError(), examples, columns.shape[1], None, run, resume, began)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The targets of each example, in their own units.

        Args:
            X: examples.

        Returns:
            [n], or [n, k] as in `fit`, in double precision as scikit-learn wants it.

        Raises:
            NotFittedError: before `fit`.
            DataError: the examples cannot be used.
            SolveError: one could not be solved.
        """
        outputs = self._predict_rows(X).outputs
        found = self.targets_.invert(outputs).astype(np.float64)
        return found[:, 0] if self.is_column_ else found

    def __sklearn_tags__(self) -> Any:
        """Say that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _measure(self, outputs: np.ndarray, y: Any) -> float:
        """The coefficient of determination of outputs, for the dial."""
        y = y.reshape(len(outputs), -1)
        residual = np.square(y - self.targets_.invert(outputs)).sum(axis=0)
        total = np.square(y - y.mean(axis=0)).sum(axis=0)
        return float(np.mean(1 - residual / np.where(total > 0, total, 1.0)))
