"""Carbon dioxide over Mauna Loa: an irregular series, forecast a year ahead by a latent ODE."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurode.data import Table, mauna_loa_co2
from neurode.demo.section import DemoSection, SectionResult
from neurode.demo.stages import Stages
from neurode.estimators import LatentODE

YEAR = 365.25  # days
SEEN_YEARS, AHEAD_YEARS = 2, 1
LEARNED_UNTIL = 1990
ORIGINS = range(1992, 2002)
"""Forecasts of each of these years from the two before it; none of them is learned from."""
STEPS = 900
SHIFT = 13  # weeks from the beginning of a learned stretch to that of the next
LEVEL = 0.95
NAIVE, DRIFT, MODEL = "a year ago", "a year ago + growth", "latent ODE"


class Origin(NamedTuple):
    """One forecast of a year.

    Attributes:
        year: the calendar year.
        level: mean of the two years before it, which all values are counted from.
        seen: times (years AD) and values of the two years before it, observed weeks only.
        times: of the year's observed weeks, [m].
        truth: their values, [m].
        forecasts: name -> [m].
        low: lower end of the model's interval, [m].
        high: upper end.
    """

    year: int
    level: float
    seen: tuple[np.ndarray, np.ndarray]
    times: np.ndarray
    truth: np.ndarray
    forecasts: dict[str, np.ndarray]
    low: np.ndarray
    high: np.ndarray


class Findings(NamedTuple):
    """What came out.

    Attributes:
        table: the data.
        years: their times as years AD, [n].
        learned: number of stretches learned from.
        model: the fitted estimator.
        origins: a forecast for each year held out.
    """

    table: Table
    years: np.ndarray
    learned: int
    model: LatentODE
    origins: list[Origin]

    def errors(self) -> dict[str, float]:
        """Root mean square error of each forecast over all years held out."""
        truth = np.concatenate([o.truth for o in self.origins])
        return {
            name: float(
                np.sqrt(
                    np.mean(
                        (np.concatenate([o.forecasts[name] for o in self.origins]) - truth) ** 2
                    )
                )
            )
            for name in (MODEL, NAIVE, DRIFT)
        }

    def inside(self) -> tuple[int, int]:
        """How many held-out weeks lie inside the model's interval, and of how many."""
        hits = [(o.low <= o.truth) & (o.truth <= o.high) for o in self.origins]
        return int(sum(hit.sum() for hit in hits)), sum(len(hit) for hit in hits)


def run_co2(folder: Path, stages: Stages, *, seed: int = 0, effort: float = 1.0) -> SectionResult:
    """Run the section; see `DemoSection.run`. Nothing is kept but what goes on the page."""
    from neurode.demo.co2_page import present

    del folder
    return present(forecast_years(stages, seed=seed, effort=effort))


MAUNA_LOA = DemoSection("mauna_loa_co2", "Carbon dioxide over Mauna Loa", run_co2)


def forecast_years(stages: Stages, *, seed: int = 0, effort: float = 1.0) -> Findings:
    """Learn from stretches of three years before 1990, then forecast year after year from 1992.

    Args:
        stages: told what is going on.
        seed: of the weights.
        effort: scales the updates.
    """
    table = mauna_loa_co2()
    years = 1970 + table.times / YEAR
    values = table.values[:, 0]
    seen = np.isfinite(values)
    years, values = years[seen], values[seen]
    stretches = cut_stretches(years, values)
    model = LatentODE(
        latent=6,
        activation="softplus",
        max_length=200,
        shortest=SEEN_YEARS / (SEEN_YEARS + AHEAD_YEARS),
        steps=max(2, round(effort * STEPS)),
        batch_size=32,
        random_state=seed,
        progress=stages.shown,
    )
    with stages.part("training a latent ODE", has_bar=True):
        model.fit(stretches, columns=["co2"])
    if model.stats_["interrupted"]:  # training took the Ctrl-C and stopped early
        raise KeyboardInterrupt
    with stages.part("forecasting"):
        origins = [forecast_year(model, years, values, year) for year in ORIGINS]
    return Findings(table, 1970 + table.times / YEAR, len(stretches), model, origins)


def cut_stretches(years: np.ndarray, values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stretches of three years before 1990, counted from the mean of their first two years.

    The level itself says nothing about what comes next, and goes on to where it never was.
    """
    stretches = []
    for begin in np.arange(years[0], LEARNED_UNTIL - SEEN_YEARS - AHEAD_YEARS, SHIFT * 7 / YEAR):
        rows = (years >= begin) & (years < begin + SEEN_YEARS + AHEAD_YEARS)
        first = years[rows] < begin + SEEN_YEARS
        if first.sum() > 52 and (~first).any():
            stretches.append((years[rows], values[rows] - values[rows][first].mean()))
    return stretches


def forecast_year(model: LatentODE, years: np.ndarray, values: np.ndarray, year: int) -> Origin:
    """Forecast a year from the two before it, by the model and without one."""
    past = (years >= year - SEEN_YEARS) & (years < year)
    ahead = (years >= year) & (years < year + AHEAD_YEARS)
    level = float(values[past].mean())
    seen, times = (years[past], values[past]), years[ahead]
    found = model.forecast(times, [(seen[0], seen[1] - level)], level=LEVEL)
    # A week of the year before may be missing: the line between its neighbours stands for it.
    naive = np.interp(times - 1, *seen)
    growth = values[past][seen[0] >= year - 1].mean() - values[past][seen[0] < year - 1].mean()
    mean, low, high = (level + x[0, :, 0] for x in (found.mean, found.low, found.high))
    forecasts = {MODEL: mean, NAIVE: naive, DRIFT: naive + growth}
    return Origin(year, level, seen, times, values[ahead], forecasts, low, high)
