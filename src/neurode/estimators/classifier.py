"""`ODENetClassifier`: an ODE as the hidden layers of a classifier, for tables and images."""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from neurode.data.errors import quote
from neurode.estimators.estimator import SettingError
from neurode.estimators.labels import encode_labels, find_unseen, read_labels
from neurode.estimators.samples import (
    Standardiser,
    read_training,
    read_weights,
)
from neurode.estimators.supervised import SupervisedODENet
from neurode.estimators.supervised_settings import check_supervised_settings
from neurode.estimators.supervised_training import Examples
from neurode.gradients.gradient import GradientStrategy
from neurode.models import CrossEntropy
from neurode.solvers.solver import Solver


class ODENetClassifier(ClassifierMixin, SupervisedODENet):
    """A classifier whose hidden layers are an ODE; see `SupervisedODENet` for how, and all else.

    Args:
        class_weight: {label: weight}, or "balanced" for the inverse of the classes' frequencies.

    Attributes:
        classes_: the labels, sorted.
    """

    def __init__(
        self,
        *,
        shape: Sequence[int] | None = None,
        width: int | None = 32,
        hidden: int | Sequence[int] = (64,),
        activation: str = "softplus",
        channels: int = 32,
        downsampling: str = "res",
        augment: int = 0,
        depth_degree: int = 0,
        tolerance: float = 1e-3,
        predict_tolerance: float | None = None,
        solver: Solver | None = None,
        gradient: GradientStrategy | None = None,
        max_steps: int = 1024,
        steps: int = 600,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-4,
        batch_size: int = 128,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int = 10,
        class_weight: Any = None,
        random_state: Any = 0,
        progress: bool = False,
    ):
        super().__init__(
            shape=shape,
            width=width,
            hidden=hidden,
            activation=activation,
            channels=channels,
            downsampling=downsampling,
            augment=augment,
            depth_degree=depth_degree,
            tolerance=tolerance,
            predict_tolerance=predict_tolerance,
            solver=solver,
            gradient=gradient,
            max_steps=max_steps,
            steps=steps,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            random_state=random_state,
            progress=progress,
        )
        self.class_weight = class_weight

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        names: Sequence[str] | None = None,
        run: str | Path | None = None,
        resume: bool = True,
    ) -> "ODENetClassifier":
        """Learn to tell classes apart.

        Args:
            X: a table [n, d] (an array or a pandas frame), or images.
            y: labels [n]: text, numbers, booleans or NumPy's dates.
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
        x, labels = read_training(self, X, y, names, numeric=False)
        weights = read_weights(sample_weight, x)
        classes, codes = encode_labels(labels, weights)
        weights = weights * _weigh_classes(self.class_weight, classes, codes)
        used = weights > 0
        _check_left(classes, codes[used], self.class_weight)
        x, codes, weights = x[used], codes[used], weights[used]
        self.classes_ = classes
        self.inputs_ = Standardiser.fit(x, weights)
        examples = Examples(self.inputs_.apply(x), codes, weights / weights.mean())
        self._train(CrossEntropy(), examples, len(classes), codes, run, resume, began)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probabilities of the classes, in the order of `classes_`.

        Args:
            X: examples.

        Returns:
            [n, k].

        Raises:
            NotFittedError: before `fit`.
            DataError: the examples cannot be used.
            SolveError: one could not be solved.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`."""
        return log_softmax(self._predict_rows(X).outputs, axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each example, [n]; see `predict_proba`."""
        outputs = self._predict_rows(X).outputs
        return self.classes_[outputs.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of labels that are predicted right.

        Args:
            X: examples.
            y: their labels; those that were not in training count as errors, with a warning.
            sample_weight: [n], or None.
        """
        self._check_fitted()
        y = read_labels(y)
        unseen = find_unseen(y, self.classes_)
        if unseen is not None:
            warnings.warn(f"{unseen}; they count as errors", stacklevel=2)
            right = self.predict(X) == np.asarray(y).ravel()
            return float(np.average(right, weights=sample_weight))
        return super().score(X, y, sample_weight)

    def _measure(self, outputs: np.ndarray, y: Any) -> float:
        """The accuracy of outputs, for the dial."""
        return float(np.mean(self.classes_[outputs.argmax(axis=1)] == y))


def _weigh_classes(class_weight: Any, classes: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """A factor for each example, by its class."""
    if class_weight is None:
        return np.ones(len(codes))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise SettingError(
                f'class_weight must be None, "balanced" or a dict, got {class_weight!r}'
            )
        return compute_sample_weight("balanced", codes)
    try:
        each = dict(class_weight)
        strangers = [label for label in each if label not in set(classes)]
        factors = np.array([float(each.get(label, 1.0)) for label in classes])
    except (TypeError, ValueError):
        raise SettingError(
            f"class_weight must be a dict {{label: weight}}, got {class_weight!r}"
        ) from None
    if strangers:
        raise SettingError(
            f"class_weight names {strangers[0]!r}, which is no label of y; the labels are "
            f"{', '.join(map(repr, classes.tolist()[:8]))}"
        )
    if not (np.isfinite(factors) & (factors >= 0)).all() or not factors.any():
        raise SettingError(f"class_weight must hold numbers of at least 0, got {class_weight!r}")
    return factors[codes]


def _check_left(classes: np.ndarray, codes: np.ndarray, class_weight: Any) -> None:
    """Refuse weights of classes that leave no two to tell apart."""
    left = np.unique(codes)
    if len(left) < 2:
        only = f"only the class {quote(classes[left[0]])}" if len(left) else "no example"
        raise SettingError(
            f"class_weight={class_weight!r} leaves {only} with a weight above 0: at least 2 "
            "classes are needed"
        )
