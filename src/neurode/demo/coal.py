"""British coal mines: the rate of explosions, learned from their dates."""

from pathlib import Path

import numpy as np

from neurode.data import Events, coal_disasters
from neurode.demo.coal_findings import CONSTANT, HELD_OUT, KERNEL, MODEL, YEAR, Findings
from neurode.demo.coal_page import present
from neurode.demo.section import DemoSection, SectionResult
from neurode.demo.stages import Stages
from neurode.estimators import Intensity, PoissonProcess
from neurode.models.baselines import choose_bandwidth, kernel_intensity

STEPS = 1000
_TIMES = 257


def run_coal(folder: Path, stages: Stages, *, seed: int = 0, effort: float = 1.0) -> SectionResult:
    """Run the section; see `DemoSection.run`. Nothing is kept but what goes on the page."""
    del folder
    return present(learn(stages, seed=seed, effort=effort))


COAL = DemoSection("coal", "Coal-mining disasters", run_coal)


def learn(stages: Stages, *, seed: int = 0, effort: float = 1.0) -> Findings:
    """Hold a random quarter of the explosions out, learn from the others, and compare."""
    events = coal_disasters()
    learned, held_out = thin(events, HELD_OUT, seed)
    steps = max(2, round(effort * STEPS))
    with stages.part("an intensity by maximum likelihood", has_bar=True):
        model = PoissonProcess(steps=steps, random_state=seed, progress=stages.shown)
        model.fit(learned)
    if model.stats_["interrupted"]:  # training took the Ctrl-C and stopped early
        raise KeyboardInterrupt
    with stages.part("its band, and the usual estimates"):
        return compare(events, learned, held_out, model)


def thin(events: Events, share: float, seed: int) -> tuple[Events, Events]:
    """Split events at random: both parts are Poisson processes, and independent.

    Returns:
        The larger part, whose intensity is 1 - share of the whole, and the rest.
    """
    out = np.random.default_rng(seed).random(events.count) < share
    times = events.times[0]
    return tuple(
        Events((times[part],), events.windows, events.calendar, events.source)
        for part in (~out, out)
    )  # pyright: ignore[reportReturnType]


def compare(events: Events, learned: Events, held_out: Events, model: PoissonProcess) -> Findings:
    """The three intensities, and how likely each makes the events that were held out."""
    assert events.calendar is not None
    start, end = events.windows[0]
    times = np.linspace(start, end, _TIMES)
    test, seen = held_out.times[0], learned.times[0]
    whole = events.count / learned.count  # from the intensity of those learned from to that of all
    rest = held_out.count / learned.count
    found = model.intensity(events.calendar.format(times))
    bandwidth = choose_bandwidth(seen, start, end)
    at = {
        MODEL: model.intensity(events.calendar.format(test)).rate,
        CONSTANT: np.full(len(test), learned.count / (end - start)),
        KERNEL: kernel_intensity(test, seen, bandwidth, start, end),
    }
    integrals = {
        MODEL: model.expected_count((events.calendar.format(start), events.calendar.format(end))),
        CONSTANT: float(learned.count),
        KERNEL: float(learned.count),
    }
    each = {n: np.log(rest * at[n]) - rest * integrals[n] / len(test) for n in at}
    rates = {
        CONSTANT: np.full(_TIMES, events.count / (end - start) * YEAR),
        KERNEL: whole * YEAR * kernel_intensity(times, seen, bandwidth, start, end),
    }
    return Findings(
        events,
        learned,
        held_out,
        model,
        times,
        Intensity(*(whole * YEAR * x for x in found)),
        rates,
        {name: float(x.sum()) for name, x in each.items()},
        each,
        bandwidth / YEAR,
        model.residuals(learned),
    )
