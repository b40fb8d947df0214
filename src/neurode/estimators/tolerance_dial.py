"""The dial of a trained ODE-Net: what accuracy and time become as the tolerance is turned."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neurode.core.status import SolveError
from neurode.data import DataError
from neurode.estimators.estimator import SettingError, check_number
from neurode.estimators.labels import find_unseen, read_labels, read_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEFAULT = 10.0 ** np.arange(-6, 0.25, 0.5)
_ROUNDING = 1e-3  # of an R²: less is rounding, or chance
_REPEATS = 3  # of which the fastest counts: other processes only ever add


@dataclass(frozen=True, eq=False)
class ToleranceDial:
    """What was measured at each tolerance, from the tightest to the loosest.

    Attributes:
        tolerances: relative and absolute, [m].
        scores: accuracy of a classifier, R² of a regression, [m].
        errors: the mean absolute difference of the outputs (logits, or standardised targets) from
            those at the tightest tolerance, [m].
        nfe: mean evaluations of the field per example, [m].
        seconds: per example, all examples at once, [m]; without compilation.
        chosen: the loosest tolerance whose score does not drop.
        score_name: "accuracy" or "R²".
    """

    tolerances: np.ndarray
    scores: np.ndarray
    errors: np.ndarray
    nfe: np.ndarray
    seconds: np.ndarray
    chosen: float
    score_name: str

    def draw(self) -> "Figure":
        """The picture: score, numerical error, evaluations and time against the tolerance."""
        from neurode.report import Curve, Panel, Points, draw_panels

        at = self.tolerances == self.chosen

        def panel(title, values, **how):
            curves = [Curve(self.tolerances, values, "measured")]
            marks = [Points(self.tolerances[at], values[at], "chosen", "second")]
            return Panel(title, curves, marks, x_label="tolerance", log_x=True, **how)

        errors = np.where(self.errors > 0, self.errors, np.nan)
        return draw_panels(
            [
                panel(self.score_name, self.scores, most=1.0),
                panel("difference of the outputs", errors, log_y=True),
                panel("evaluations per example", self.nfe),
                panel("microseconds per example", 1e6 * self.seconds),
            ]
        )

    def __str__(self) -> str:
        """A table, one line per tolerance; the chosen one is marked."""
        lines = [f"tolerance  {self.score_name:>8}  difference    NFE  us/example"]
        for row in zip(
            self.tolerances, self.scores, self.errors, self.nfe, self.seconds, strict=True
        ):
            mark = "  <- chosen" if row[0] == self.chosen else ""
            lines.append(
                f"{row[0]:9.1e}  {row[1]:8.4f}  {row[2]:10.1e}  {row[3]:5.1f}  "
                f"{1e6 * row[4]:10.1f}{mark}"
            )
        return "\n".join(lines)


def turn_dial(
    estimator: Any, X: Any, y: Any, tolerances: Sequence[float] | None, drop: float | None
) -> ToleranceDial:
    """Measure a fitted estimator at each tolerance; see `SupervisedODENet.tune_tolerance`.

    Raises:
        SettingError: a tolerance cannot be.
        DataError: the examples or their targets cannot be used.
    """
    is_classifier = hasattr(estimator, "classes_")
    if drop is None:
        drop = 0.0 if is_classifier else _ROUNDING
    check_number("drop", drop, least=0)
    asked = _read_tolerances(tolerances)
    y = _read_targets(estimator, y)
    outputs, scores, nfe, seconds = [], [], [], []
    estimator._predict_rows(X, float(asked[-1]))  # compiles the one program that serves all
    for tolerance in asked:
        try:
            found, took = _time_best(partial(estimator._predict_rows, X, float(tolerance)))
        except SolveError:
            if tolerances is not None or scores:
                raise
            continue  # too tight, and not asked for
        seconds.append(took / len(found.nfe))
        if len(found.outputs) != len(y):
            raise DataError(f"X has {len(found.outputs)} examples and y {len(y)}")
        outputs.append(found.outputs)
        scores.append(estimator._measure(found.outputs, y))
        nfe.append(found.nfe.mean())
    asked = asked[-len(scores) :]
    # Loosest of those up to which no score has dropped: a lucky one beyond does not count.
    holds = np.minimum.accumulate(np.array(scores)) >= scores[0] - drop
    return ToleranceDial(
        tolerances=asked,
        scores=np.array(scores),
        errors=np.array([np.abs(each - outputs[0]).mean() for each in outputs]),
        nfe=np.array(nfe),
        seconds=np.array(seconds),
        chosen=float(asked[np.flatnonzero(holds)[-1]]),
        score_name="accuracy" if is_classifier else "R²",
    )


def _read_tolerances(tolerances: Sequence[float] | None) -> np.ndarray:
    try:
        asked = np.unique(_DEFAULT if tolerances is None else np.asarray(tolerances, float).ravel())
    except (TypeError, ValueError):
        asked = np.zeros(0)
    if not len(asked) or not (np.isfinite(asked) & (asked > 0)).all():
        raise SettingError(f"tolerances must be positive numbers, got {tolerances!r}")
    return asked


def _read_targets(estimator: Any, y: Any) -> np.ndarray:
    """Labels [n] that were in training, or numbers in as many columns as were fitted."""
    if not hasattr(estimator, "classes_"):
        y = read_numbers(y)
        columns, fitted = y.reshape(len(y), -1).shape[1], len(estimator.targets_.centre)
        if columns != fitted:
            raise DataError(f"y has {columns} columns, but {fitted} were fitted")
        return y
    labels = np.asarray(read_labels(y))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"y must have one label for each example, got shape {labels.shape}")
    unseen = find_unseen(labels, estimator.classes_)
    if unseen is not None:
        raise DataError(f"{unseen}: leave those examples out")
    return labels


def _time_best(run: Any) -> tuple[Any, float]:
    """What a function returns, and the least seconds that it took."""
    took = np.inf
    for _ in range(_REPEATS):
        began = time.perf_counter()
        found = run()
        took = min(took, time.perf_counter() - began)
    return found, took
