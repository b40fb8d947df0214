"""What the carbon dioxide section writes: every word about a number is made from that number."""

import numpy as np

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
)
from neurode.demo.forecasts import spell_verdict
from neurode.demo.learning import average_history
from neurode.demo.section import SectionResult
from neurode.report import Curve, Page, draw_errors, draw_series, draw_training, format_number

UNIT = "ppm"
_DRAWN = 4  # forecasts in the figure


def present(found: Findings) -> SectionResult:
    """Put the findings into words, figures and numbers.

    Args:
        found: what came out.
    """
    errors = found.errors()
    inside, count = found.inside()
    naive = {name: errors[name] for name in (NAIVE, DRIFT)}
    share = 100 * inside / count
    summary = (
        "**Carbon dioxide.** A latent ODE read weekly concentrations over Mauna Loa, with their "
        f"gaps, up to {LEARNED_UNTIL}, and then forecast each of the years {ORIGINS[0]} to "
        f"{ORIGINS[-1]} from the two before it. {spell_verdict({MODEL: errors[MODEL]}, naive)} "
        f"Its {100 * LEVEL:.0f}% intervals hold {share:.0f}% of the {count} weeks. Errors are root "
        f"mean squares in {UNIT}."
    )
    headline = {
        "forecast error of the latent ODE": format_number(errors[MODEL], 3),
        "naive forecast (the same week a year ago)": format_number(naive[NAIVE], 3),
        "the same plus a year's growth": format_number(naive[DRIFT], 3),
        f"weeks inside its {100 * LEVEL:.0f}% interval": f"{inside} of {count}",
    }

    def write(page: Page) -> None:
        _write_data(page, found)
        _write_forecasts(page, found)
        _write_training(page, found)

    numbers = {
        "learned_until": LEARNED_UNTIL,
        "years_held_out": list(ORIGINS),
        "forecast_rmse": errors,
        "forecast_rmse_by_year": {str(o.year): _errors_of(o) for o in found.origins},
        "inside_95_percent_interval": [inside, count],
        "seconds_training": found.model.stats_["seconds"],
        "final_loss": float(np.mean(found.model.history_["loss"][-100:])),
    }
    return SectionResult(summary, headline, write, numbers)


def _errors_of(origin) -> dict[str, float]:
    return {
        name: float(np.sqrt(np.mean((guess - origin.truth) ** 2)))
        for name, guess in origin.forecasts.items()
    }


def _write_data(page: Page, found: Findings) -> None:
    values = found.table.values[:, 0]
    missing = int(np.isnan(values).sum())
    page.section("Carbon dioxide: the data").text(
        "Weekly averages of carbon dioxide in the air over the Mauna Loa Observatory, Hawaii "
        "(Keeling and Whorf 2004; shipped with neurode as `mauna_loa_co2.csv`). It breathes with "
        "the northern forests once a year, and grows."
    ).facts(
        {
            "weeks": f"{format_number(len(values))}, of which {missing} were not measured",
            "the model learns from": (
                f"{found.learned} overlapping stretches of {SEEN_YEARS + AHEAD_YEARS} years "
                f"before {LEARNED_UNTIL}"
            ),
            "and is judged on": f"{ORIGINS[0]} to {ORIGINS[-1]}, each from the two years before",
            "unit": f"{UNIT} (parts per million by volume)",
        }
    ).note(
        "Every stretch is counted from the mean of its first two years, which are known when the "
        "forecast is made: the level itself goes on to where it has never been, and no model "
        "learns a place that it has not seen."
    )


def _write_forecasts(page: Page, found: Findings) -> None:
    errors = found.errors()
    last = found.origins[-_DRAWN:]
    times = np.concatenate([last[0].seen[0], *(o.times for o in last)])
    values = np.concatenate([last[0].seen[1], *(o.truth for o in last)])
    stacked = np.concatenate([o.times for o in last])
    model, low, high, naive = (
        np.concatenate(parts)
        for parts in zip(
            *((o.forecasts[MODEL], o.low, o.high, o.forecasts[NAIVE]) for o in last), strict=True
        )
    )
    section = page.section("Carbon dioxide: forecasts")
    section.text(
        "A recurrent network reads the two years backwards, week by week, with the gaps between "
        "them, and says where the latent state was at their beginning, and how sure it is; the "
        "state then follows its ODE through the two years and the next. What the state and the "
        "noise leave open is the interval."
    ).figure(
        draw_series(
            times,
            values[:, None],
            names=[f"carbon dioxide ({UNIT})"],
            curves=[
                Curve(stacked, model[:, None], MODEL, "model", low[:, None], high[:, None]),
                Curve(stacked, naive[:, None], f"naive: {NAIVE}", "baseline"),
            ],
            split=float(last[0].times[0]),
            time_label="year",
        ),
        "co2-forecasts",
        f"Forecasts of the last {len(last)} years, each made at the beginning of its year. The "
        f"band is the {100 * LEVEL:.0f}% interval.",
    ).figure(
        draw_errors(
            list(errors),
            np.array(list(errors.values())),
            roles=["model", "baseline", "baseline"],
            error_label=f"root mean square error over {len(ORIGINS)} years ({UNIT})",
        ),
        "co2-errors",
        f"Errors of all forecasts of {ORIGINS[0]} to {ORIGINS[-1]}; the smallest is in bold.",
    ).table(
        ["year", *errors],
        [[str(o.year), *_errors_of(o).values()] for o in found.origins],
        caption=f"Root mean square errors year by year ({UNIT})",
        digits=3,
    )


def _write_training(page: Page, found: Findings) -> None:
    curve, each = average_history(found.model.history_, MODEL)
    means = f" Means of {each} steps each." if each > 1 else ""
    page.section("Carbon dioxide: training").figure(
        draw_training([curve], loss_label="loss (nats per observed number)"),
        "co2-training",
        f"The loss of scaled values, and the evaluations of the latent state's field.{means}",
    )
