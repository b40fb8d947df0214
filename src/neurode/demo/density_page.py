"""What the section on densities writes: every word about a number is made from that number."""

from collections.abc import Sequence

import numpy as np

from neurode.demo.density_findings import FLOW, Films, Sample
from neurode.demo.learning import average_history
from neurode.demo.section import SectionResult
from neurode.report import (
    DensityMap,
    Frame,
    Page,
    draw_errors,
    draw_frames,
    draw_training,
    format_number,
)

_ROLES = {FLOW: "model"}


def present(samples: Sequence[Sample], films: Films) -> SectionResult:
    """Put the findings into words, figures and numbers.

    Args:
        samples: the data sets with what was learned from them.
        films: the first one's flow on its way.
    """
    verdicts = " ".join(spell_lead(sample) for sample in samples)
    summary = (
        "**Densities.** A continuous normalizing flow learned how the rows of a table are "
        f"distributed, and was judged on rows it had not seen. {verdicts}"
    )
    headline = {
        f"{sample.name}: nats per held-out row, {name}": format_number(loss, 4)
        for sample in samples[:1]
        for name, loss in sample.losses().items()
    }

    def write(page: Page) -> None:
        for sample in samples:
            _write_sample(page, sample)
        _write_films(page, samples[0], films)
        _write_training(page, samples)

    numbers = {
        sample.name: {
            "nll": sample.losses(),
            "standard_error": sample.errors(),
            "settings": sample.settings,
            "entropy": sample.entropy,
            "skipped": sample.estimator.stats_["skipped"],
            "round_trip_error": sample.estimator.round_trip_error_,
            "seconds": sample.estimator.stats_["seconds"],
        }
        for sample in samples
    }
    return SectionResult(summary, headline, write, numbers)


def spell_lead(sample: Sample) -> str:
    """Say how the flow compares with the best of the others, and whether that is more than chance.

    Args:
        sample: the data with the held-out scores.
    """
    best, gain, error = sample.lead()
    gap = f"{format_number(abs(gain), 2)} ± {format_number(error, 1)} nats per row"
    if abs(gain) <= 2 * error:
        return f"On {sample.name} it is level with the {best} (difference {gap})."
    return f"On {sample.name} it {'beats' if gain > 0 else 'loses to'} the {best} by {gap}."


def _write_sample(page: Page, sample: Sample) -> None:
    density = DensityMap(*sample.sides, sample.density)
    limits = tuple(side[end] for side in sample.sides for end in (0, -1))
    losses, errors = sample.losses(), sample.errors()
    values, spread = np.array(list(losses.values())), np.array(list(errors.values()))
    n, m = len(sample.learned), len(sample.held_out)
    known = ""
    if sample.entropy is not None:
        known = f" No estimator can be below {format_number(sample.entropy, 4)}, the entropy."
    chosen = "; ".join(f"{name}: {what}" for name, what in sample.settings.items())
    section = page.section(f"The density of {sample.name}")
    if sample.entropy is None:
        section.text(
            "How long eruptions of the Old Faithful geyser last, and how long it is until the next "
            "one, in minutes: 272 eruptions, shipped with neurode."
        )
    section.figure(
        draw_frames(
            [[Frame(density, sample.learned), Frame(points=sample.samples, role="model")]],
            titles=["density and data", "samples of the flow"],
            names=(sample.names[0], sample.names[1]),
            limits=limits,
        ),
        f"density_{sample.name.lower().replace(' ', '_')}",
        f"The flow's density with the {n} rows it learned from, and as many samples of it.",
    ).figure(
        draw_errors(
            list(losses),
            values,
            roles=[_ROLES.get(name, "baseline") for name in losses],
            error_label="negative log-likelihood (nats per held-out row), lower is better",
            low=values - spread,
            high=values + spread,
        ),
        f"heldout_{sample.name.lower().replace(' ', '_')}",
        f"The mean over {m} held-out rows, with its standard error. {spell_lead(sample)}{known} "
        f"Settings of the others, by cross-validation on the rows learned from: {chosen}.",
    )


def _write_films(page: Page, sample: Sample, films: Films) -> None:
    frames = [
        [Frame(DensityMap(films.side, films.side, density)) for density in films.densities],
        [Frame(points=cloud, role="model") for cloud in films.clouds],
    ]
    page.section("A flow in six frames").text(
        "A sample of the flow begins as a draw from a normal distribution and is carried by "
        "dz/dt = f(t, z); its log-density falls by the integral of tr(df/dz) on the way. Read "
        "backwards, the same equation tells the density of any row."
    ).figure(
        draw_frames(
            frames,
            titles=[f"t = {t:g}" for t in films.times],
            labels=["density", "samples"],
            limits=(-3, 3, -3, 3),
        ),
        "density_film",
        f"{sample.name}, in standard deviations of {' and '.join(sample.names)}. There and back, "
        f"rows return to within {sample.estimator.round_trip_error_:.0e} of them.",
    )


def _write_training(page: Page, samples: Sequence[Sample]) -> None:
    curves = [
        average_history(sample.estimator.history_, sample.name, role)
        for sample, role in zip(samples, ("model", "second"), strict=False)
    ]
    skipped = sum(sample.estimator.stats_["skipped"] for sample in samples)
    page.section("Training of the flows").figure(
        draw_training(
            [curve for curve, _ in curves], loss_label="negative log-likelihood (nats per row)"
        ),
        "density_training",
        f"Each point is the mean of {curves[0][1]} steps. Iterations left out because their solve "
        f"outran its budget: {skipped}.",
    )
