"""What the section on coal mines writes: every word about a number is made from that number."""

import numpy as np

from neurode.demo.coal_findings import CONSTANT, HELD_OUT, KERNEL, MODEL, YEAR, Findings
from neurode.demo.learning import average_history
from neurode.demo.section import SectionResult
from neurode.report import (
    Curve,
    Page,
    Panel,
    Points,
    draw_errors,
    draw_panels,
    draw_training,
    format_number,
)


def present(found: Findings) -> SectionResult:
    """Put the findings into words, figures and numbers.

    Args:
        found: what came out.
    """
    first, last = found.intensity.rate[[0, -1]]
    summary = (
        "**Coal-mining disasters.** A Poisson process whose intensity is read off a latent ODE "
        f"learned from the dates of explosions that their rate went from {first:.2g} a year in "
        f"1851 to {last:.2g} in 1962. {spell_lead(found)}"
    )
    m = found.held_out.count
    headline = {
        f"nats per held-out event, {name}": format_number(score / m, 4)
        for name, score in found.scores.items()
    }

    def write(page: Page) -> None:
        _write_intensity(page, found)
        _write_comparison(page, found)
        _write_training(page, found)

    numbers = {
        "learned": found.learned.count,
        "held_out": m,
        "heldout_log_likelihood": found.scores,
        "lead_over_best_other": list(found.lead()),
        "kernel_bandwidth_years": found.bandwidth,
        "ks_statistic": found.residuals.statistic,
        "ks_p_value": found.residuals.p_value,
        "seconds": found.model.stats_["seconds"],
    }
    return SectionResult(summary, headline, write, numbers)


def spell_lead(found: Findings) -> str:
    """Say how the model compares with the best of the others, and whether by more than chance."""
    best, gain, error = found.lead()
    gap = (
        f"{format_number(abs(gain), 2)} ± {format_number(error, 2)} nats for "
        f"{found.held_out.count} events"
    )
    if abs(gain) <= 2 * error:
        return f"On explosions it had not seen it is level with the {best} (difference {gap})."
    return (
        f"On explosions it had not seen it {'beats' if gain > 0 else 'loses to'} the {best} "
        f"by {gap}."
    )


def _years(days: np.ndarray) -> np.ndarray:
    return 1970 + days / YEAR


def _write_intensity(page: Page, found: Findings) -> None:
    years, low, high = _years(found.times), found.intensity.low, found.intensity.high
    dots = [
        Points(_years(part.times[0]), np.full(part.count, height), label, role)
        for part, height, label, role in (
            (found.learned, 0.0, "explosions learned from", "data"),
            (found.held_out, -0.25, "held out", "second"),
        )
    ]
    page.section("Coal-mining disasters: the rate").text(
        f"The dates of {found.events.count} explosions in British coal mines that killed ten men "
        "or more, 15 March 1851 to 22 March 1962 (Jarrett 1979; shipped with neurode as "
        "`coal_disasters.csv`). A latent state follows a neural ODE; a second network reads the "
        "rate off it; state and integral of the rate come from one solve."
    ).figure(
        draw_panels(
            [
                Panel(
                    curves=[
                        Curve(years, found.intensity.rate, MODEL, "model", low, high),
                        Curve(years, found.rates[KERNEL], KERNEL, "third"),
                        Curve(years, found.rates[CONSTANT], CONSTANT, "baseline"),
                    ],
                    points=dots,
                    x_label="year",
                    y_label="explosions per year",
                )
            ],
            columns=1,
            panel_height=3.4,
        ),
        "coal-rate",
        "The band holds 95% at each time, by a linearised Laplace approximation: it knows of the "
        "weights' uncertainty, not of other networks or priors.",
    )


def _write_comparison(page: Page, found: Findings) -> None:
    m = found.held_out.count
    losses = {name: -score / m for name, score in found.scores.items()}
    spread = {n: x.std(ddof=1) / m**0.5 for n, x in found.each.items()}
    values, error = np.array(list(losses.values())), np.array(list(spread.values()))
    page.section("Coal-mining disasters: held out").text(
        f"A random {100 * HELD_OUT:.0f}% of the explosions was held out. Both parts of a Poisson "
        "process that is thinned so are Poisson processes of their own, whose intensities are in "
        "proportion, so what was learned from the one part predicts the other."
    ).figure(
        draw_errors(
            list(losses),
            values,
            roles=["model", "baseline", "third"],
            error_label="negative log-likelihood (nats per held-out event), lower is better",
            low=values - error,
            high=values + error,
        ),
        "coal-heldout",
        f"The mean over {m} held-out events, with its standard error. {spell_lead(found)} The "
        f"kernel's bandwidth, {format_number(found.bandwidth, 2)} years, is the best with each "
        "event left out in turn. Time rescaling of the events learned from: Kolmogorov-Smirnov "
        f"distance {format_number(found.residuals.statistic, 2)}, p = "
        f"{format_number(found.residuals.p_value, 2)}.",
    )


def _write_training(page: Page, found: Findings) -> None:
    curve, each = average_history(found.model.history_, MODEL)
    page.section("Coal-mining disasters: training").figure(
        draw_training([curve], loss_label="negative log posterior (nats per event)"),
        "coal-training",
        f"Each point is the mean of {each} steps.",
    )
