"""Training as every estimator does it: updates that fail are left out, and what is said of them."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from neurode.training import FitResult, TrainingError, fit

_PATIENCE = 20  # updates in a row that may fail and be left out
_NOTABLE = 0.1  # share of all updates


def fit_patiently(
    objective: Any,
    model: Any,
    batches: Any,
    *,
    max_steps: int,
    evaluations: int,
    **how: Any,
) -> FitResult:
    """`training.fit`, which speaks of optimisers, in the words of an estimator.

    Args:
        objective: as `fit` takes it.
        model: to start from.
        batches: of the data.
        max_steps: budget of an update's solve.
        evaluations: of the field by a step of it.
        how: what else `fit` takes.

    Raises:
        TrainingError: training met what is not finite, again and again.
    """
    try:
        result = fit(objective, model, batches, skip_non_finite=_PATIENCE, **how)
    except TrainingError as error:
        raise _explain(error, max_steps, evaluations) from error
    warn_of_skipped(result, max_steps)
    return result


def warn_of_skipped(result: FitResult, max_steps: int) -> None:
    """Warn if a notable share of the updates was left out.

    Args:
        result: of a training.
        max_steps: budget of an update's solve.
    """
    count, of = count_skipped(result.history), len(result.history["loss"])
    if count > _NOTABLE * of and not result.interrupted:
        warnings.warn(
            f"{count} of {of} updates were left out, as their solve needed more than max_steps="
            f"{max_steps} or their loss was not finite, so the fit may be poor: lower the "
            "learning_rate or allow more max_steps",
            ConvergenceWarning,
            stacklevel=6,
        )


def count_skipped(history: dict[str, Any]) -> int:
    """How many updates were not made, because the loss was not finite."""
    return int(np.sum(~np.isfinite(history["loss"])))


def _explain(error: TrainingError, max_steps: int, evaluations: int) -> TrainingError:
    history = error.result.history
    good = np.flatnonzero(np.isfinite(history["loss"]))
    first = good[-1] + 1 if len(good) else 0
    failed = history.get("nfe_forward", np.zeros(0))[first:]
    happened = error.happened
    advice = "Lower the learning_rate, allow more max_steps, or look for outliers in the data"
    if len(failed) and failed.min() >= max_steps * evaluations:
        happened = (
            f"training stopped at step {error.step}: {_count(len(failed))} could not be solved "
            f"within max_steps={max_steps} steps ({count_skipped(history)} left out in all), so "
            "the field has turned stiff"
        )
        advice = "Lower the learning_rate, add some weight_decay, or allow more max_steps"
    found = {"step": error.step, "loss": error.loss, "result": error.result}
    return TrainingError(happened, error.rescue, advice, **found)


def _count(number: int) -> str:
    return "the last update" if number == 1 else f"the last {number} updates"
