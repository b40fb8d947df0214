"""Forecasts that need no model, errors of any forecast, and who did best, in words."""

from collections.abc import Mapping

import numpy as np

LAST, MEAN, SEASONAL = "last value", "mean of the past", "one cycle ago"


def find_cycle(values: np.ndarray, *, shortest: int = 4) -> int:
    """Return the period of evenly spaced series: the lag at which they repeat themselves best.

    Args:
        values: [n, d], d series over the same times.
        shortest: the least lag considered; the greatest leaves a third of the rows to compare.

    Returns:
        The lag, in rows, with the least mean square difference, each series scaled by its variance.
    """
    scaled = values / values.std(axis=0)
    lags = range(shortest, len(values) - len(values) // 3 + 1)
    misses = [np.mean((scaled[lag:] - scaled[:-lag]) ** 2) for lag in lags]
    return lags[int(np.argmin(misses))]


def forecast_naively(past: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Continue evenly spaced series by what asks for no understanding of them.

    Args:
        past: [n, d], what is known.
        count: how many rows to forecast.

    Returns:
        Name -> [count, d]: the last value, the mean, and the value one cycle before (`find_cycle`).
    """
    cycle = find_cycle(past)
    rows = len(past) - cycle + np.arange(count) % cycle
    return {
        LAST: np.repeat(past[-1:], count, axis=0),
        MEAN: np.repeat(past.mean(axis=0, keepdims=True), count, axis=0),
        SEASONAL: past[rows],
    }


def measure_errors(forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return root mean square errors [d + 1]: of each variable, and of all values together.

    Args:
        forecast: [m, d].
        truth: [m, d].
    """
    squares = (forecast - truth) ** 2
    return np.sqrt([*squares.mean(axis=0), squares.mean()])


def spell_ranking(models: Mapping[str, float], baselines: Mapping[str, float], unit: str) -> str:
    """Say who made the smallest error, and whether the models beat what is naive.

    Args:
        models: name -> error.
        baselines: name -> error.
        unit: of the errors, "thousand pelts".
    """
    ranked = sorted([*models.items(), *baselines.items()], key=lambda pair: pair[1])
    naive, bar = min(baselines.items(), key=lambda pair: pair[1])
    order = ", ".join(f"{name} ({error:.1f})" for name, error in ranked)
    better = [name for name, error in sorted(models.items(), key=lambda p: p[1]) if error < bar]
    if len(better) == len(models):
        verdict = f"every model beats the best naive forecast, {naive}"
    elif better:
        verb = "beats" if len(better) == 1 else "beat"
        verdict = f"only {_join(better)} {verb} the best naive forecast, {naive}"
    else:
        verdict = f"no model beats the best naive forecast, {naive}"
    return f"From the smallest error to the largest, in {unit}: {order}. So {verdict}."


def _join(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
