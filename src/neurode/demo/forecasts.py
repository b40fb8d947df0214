"""Forecasts that need no model, errors of any forecast, and who did best, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from neurode.report import format_number

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


def forecast_naively(past: np.ndarray, count: int, cycle: int) -> dict[str, np.ndarray]:
    """Continue evenly spaced series by what asks for no understanding of them.

    Args:
        past: [n, d], what is known.
        count: how many rows to forecast.
        cycle: their period in rows, from `find_cycle`.

    Returns:
        Name -> [count, d]: the last value, the mean, and the value one cycle before.
    """
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
        truth: [m, d], NaN where nothing was observed; a variable never observed has error NaN.
    """
    squares = (forecast - truth) ** 2
    known = np.isfinite(squares)
    sums, counts = np.where(known, squares, 0).sum(axis=0), known.sum(axis=0)
    sums, counts = np.append(sums, sums.sum()), np.append(counts, counts.sum())
    return np.sqrt(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def propagate_errors(slopes: np.ndarray, observed: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return how uncertain a fitted curve is because its parameters are.

    The parameters' covariance is the inverse of the Fisher information of the observations, and
    a curve's that of its linearisation (the delta method; Seber and Wild 1989, section 5.3).

    Args:
        slopes: derivatives of the curve by everything that was estimated, [m, d, k].
        observed: which of the m points were observed.
        noise: standard deviation of each variable's noise, [d].

    Returns:
        Standard deviations [m, d].
    """
    weighed = (slopes[observed] / noise[:, None]).reshape(-1, slopes.shape[-1])
    covariance = np.linalg.inv(weighed.T @ weighed)
    return np.sqrt(np.einsum("mdi,ij,mdj->md", slopes, covariance, slopes))


def spell_verdict(models: Mapping[str, float], baselines: Mapping[str, float]) -> str:
    """Say whether models beat what is naive, and which of several is best.

    Args:
        models: name -> error.
        baselines: name -> error.
    """
    naive, bar = min(baselines.items(), key=lambda pair: pair[1])
    ranked = sorted(models.items(), key=lambda pair: pair[1])
    better = [_show(name, error) for name, error in ranked if error < bar]
    rest = [_show(name, error) for name, error in ranked if error >= bar]
    against = f"the best naive forecast, {_show(naive, bar)}"
    if not better:
        return f"No model beats {against}: {_join(rest)} {_do(rest)} worse."
    sentence = f"{_join(better)} {'beats' if len(better) == 1 else 'beat'} {against}"
    sentence += f"; {_join(rest)} {_do(rest)} not" if rest else ""
    best = f" The smallest error is that of {ranked[0][0]}." if len(models) > 1 else ""
    return f"{sentence[:1].upper()}{sentence[1:]}.{best}"


def spell_losers(
    models: Mapping[str, np.ndarray], baselines: Mapping[str, np.ndarray], variables: Sequence[str]
) -> str:
    """Say for which single variables a model does worse than a naive forecast; "" for none.

    Args:
        models: name -> errors of each variable (and whatever follows).
        baselines: name -> errors likewise.
        variables: the names of the d variables.
    """
    sentences = []
    for j, variable in enumerate(variables):
        for name, errors in models.items():
            worse = [_show(n, e[j]) for n, e in baselines.items() if e[j] <= errors[j]]
            if worse:
                shown = _show(name, errors[j])
                sentences.append(f"for {variable} alone, {shown} loses to {_join(worse)}")
    text = "; ".join(sentences)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _show(name: str, error: float) -> str:
    return f"{name} ({format_number(error, 3)})"


def _do(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _join(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
