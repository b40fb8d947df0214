"""Carbon dioxide over Mauna Loa: an irregular series, forecast a year ahead by a latent ODE."""

from pathlib import Path

import numpy as np

from neurode.data import mauna_loa_co2
from neurode.demo.co2_findings import (
    AHEAD_YEARS,
    DRIFT,
    LEARNED_UNTIL,
    LEVEL,
    MODEL,
    NAIVE,
    ORIGINS,
    SEEN_YEARS,
    Findings,
    Origin,
)
from neurode.demo.co2_page import present
from neurode.demo.section import DemoSection, SectionResult
from neurode.demo.stages import Stages
from neurode.estimators import LatentODE

YEAR = 365.25  # days
STEPS = 900
SHIFT = 13  # weeks from the beginning of a learned stretch to that of the next


def run_co2(folder: Path, stages: Stages, *, seed: int = 0, effort: float = 1.0) -> SectionResult:
    """Run the section; see `DemoSection.run`. Nothing is kept but what goes on the page."""
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
