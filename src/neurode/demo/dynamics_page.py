"""What the lynx and hare section writes: every word about a number is made from that number."""

import equinox as eqx
import jax
import numpy as np

from neurode.demo.dynamics_findings import Dial, Findings
from neurode.demo.forecasts import SEASONAL, spell_losers, spell_verdict
from neurode.demo.learning import average_history
from neurode.demo.section import SectionResult
from neurode.report import (
    Curve,
    Page,
    Panel,
    Portrait,
    draw_errors,
    draw_panels,
    draw_phase,
    draw_series,
    draw_training,
    format_number,
)

UNIT = "thousand pelts"
MEANINGS = {
    "alpha": "growth of hares that nobody eats, per year",
    "beta": "share of the hares taken per year by a thousand lynx",
    "gamma": "death of lynx that find no hare, per year",
    "delta": "growth of lynx per year by a thousand hares",
}
EQUATIONS = """\
d hare / dt =  alpha · hare − beta · hare · lynx
d lynx / dt = −gamma · lynx + delta · hare · lynx"""
ROLES = ("second", "model")
SOLVER_ROLES = ("second", "model", "third")
_ACCURACY = 1e-6  # at which solvers are compared


def present(found: Findings) -> SectionResult:
    """Put the findings into words, figures and numbers.

    Args:
        found: what came out.
    """
    models, naive = (_totals(e) for e in (found.model_errors(), found.naive_errors()))
    summary = (
        "**Lynx and hare.** Two models learned how the populations of lynx and hare drive each "
        f"other from the years {found.years[0]}, and then forecast {found.years[1]}, which they "
        "had not seen: the equations of Lotka and Volterra, with four unknown rates, and a neural "
        f"network that knows nothing of either animal. {spell_verdict(models, naive)} Errors are "
        f"root mean squares in {UNIT}."
    )
    best = min(naive, key=naive.__getitem__)
    headline = {
        **{f"forecast error of {name}": format_number(e, 3) for name, e in models.items()},
        f"best naive forecast ({best})": format_number(naive[best], 3),
        "held-out values inside Lotka-Volterra's 95% interval": (
            f"{found.count_inside()} of {found.truth.size}"
        ),
    }

    def write(page: Page) -> None:
        for part in _PARTS:
            part(page, found)

    return SectionResult(summary, headline, write, found.numbers())


def _write_data(page: Page, found: Findings) -> None:
    table, (fitted, held_out) = found.table, found.years
    page.section("Lynx and hare: the data").text(
        "Pelts of snowshoe hare and of Canadian lynx, which eats it, as the Hudson's Bay Company "
        "collected them year by year (Howard 2009, from Hewitt 1921; shipped with neurode as "
        f"`{table.source}`). The years up to the split repeat themselves best after {found.cycle} "
        "years."
    ).facts(
        {
            "years": f"{table.times[0]:.0f} to {table.times[-1]:.0f}, one value a year",
            "unit": UNIT,
            "the models learn from": f"{fitted} ({found.seen} years)",
            "and are judged on": f"{held_out} ({len(found.truth)} years)",
        }
    ).note(
        "These are pelts that were traded, not animals that lived: prices, trapping and "
        "book-keeping are in them too. And one series, split once, decides little between models."
    )


def _write_fits(page: Page, found: Findings) -> None:
    table, cut = found.table, found.table.times[found.seen - 1]
    low, high = found.interval()
    equations, network = found.models
    years = table.times[found.seen - 1 :]
    naive = np.vstack([table.values[found.seen - 1], found.naive[SEASONAL]])
    curves = [
        Curve(found.plot_times, equations.curve, equations.name, ROLES[0], low, high),
        Curve(found.plot_times, network.curve, network.name, ROLES[1]),
        Curve(years, naive, f"naive: {SEASONAL}", "baseline"),
    ]
    weights = jax.tree.leaves(eqx.filter(network.estimator.field_, eqx.is_array))
    page.section("Fits and forecasts").text(
        "**Lotka-Volterra.** Hares multiply and are eaten; lynx multiply by eating and die. Four "
        "rates and the two values of the first year are unknown. They are found by maximum "
        "likelihood through the solver, with exact sensitivities."
    ).code(EQUATIONS).text(
        "**A neural network.** The right-hand side is a network of "
        f"{format_number(sum(leaf.size for leaf in weights))} weights that sees hare and lynx and "
        "nothing else. Its weights, and the values of the first year, are found by gradients "
        "through the solver: the first years first, then ever more of them."
    ).figure(
        draw_series(
            table.times,
            table.values,
            names=[f"{name} ({UNIT})" for name in table.names],
            curves=curves,
            split=float(cut),
            time_label="year",
        ),
        "forecasts",
        f"Fits up to {cut:.0f}, forecasts after it. The band is the 95% prediction interval of "
        "Lotka-Volterra, made of the uncertainty of its parameters and the scatter of the data "
        f"around it; {found.count_inside()} of the {found.truth.size} held-out values lie inside.",
    )


def _write_errors(page: Page, found: Findings) -> None:
    models, naive, fits = found.model_errors(), found.naive_errors(), found.fit_errors()
    groups = [*found.table.names, "both"]
    labels, errors = [*models, *naive], np.array([*models.values(), *naive.values()])
    fitted = [float(fits[label][-1]) if label in fits else None for label in labels]
    page.section("Whose forecast is better?").text(
        f"{spell_verdict(_totals(models), _totals(naive))} "
        f"{spell_losers(models, naive, found.table.names)}"
    ).figure(
        draw_errors(
            labels,
            errors,
            groups=groups,
            roles=[*ROLES, *["baseline"] * len(naive)],
            error_label=f"error ({UNIT})",
        ),
        "forecast-errors",
        f"Root mean square errors of the forecasts of {found.years[1]}; the smallest is in bold.",
    ).table(
        ["forecast", *groups, "both, on the years fitted"],
        [[label, *row, fit] for label, row, fit in zip(labels, errors, fitted, strict=True)],
        caption=f"Root mean square errors over {found.years[1]}, {UNIT}",
        best={group: "min" for group in groups},
        digits=3,
    ).text(
        f"The naive forecasts, too, know only {found.years[0]}: the last value, the mean, and the "
        f"value {found.cycle} years before. {_spell_lesson(found)}"
    )


def _spell_lesson(found: Findings) -> str:
    """What the models' errors on fitted and on new years say together, if they say anything."""
    equations, network = _totals(found.model_errors()).values()
    fitted_equations, fitted_network = _totals(found.fit_errors()).values()
    if fitted_network < fitted_equations and network > equations:
        return (
            "The network follows the years it was fitted to more closely than Lotka-Volterra, and "
            "forecasts the others worse: here, with so few data, knowing the form of the equations "
            "was worth more than being free of it."
        )
    if network < equations:
        return "Here the network forecasts better than the equations of the textbook."
    return "Here the equations of the textbook forecast better than the network."


def _write_parameters(page: Page, found: Findings) -> None:
    estimates = found.models[0].estimator.estimates_
    assert estimates is not None
    rows = [
        [f"`{name}`", value, error, *interval]
        for name, value, error, interval in estimates.columns()
    ]
    starts = zip(
        found.table.names, estimates.initial[0], estimates.initial_standard_errors[0], strict=True
    )
    for name, value, error in starts:
        half = found.reach * error
        label = f"{name} in {found.table.times[0]:.0f}"
        rows.append([label, value, error, value - half, value + half])
    hare, lynx = estimates.noise
    values = dict(zip(estimates.names, estimates.values, strict=True))
    section = page.section("The parameters of Lotka-Volterra")
    section.table(["", "estimate", "standard error", "95% from", "to"], rows, digits=3)
    section.facts({f"`{name}`": meaning for name, meaning in MEANINGS.items()})
    section.text(
        f"{estimates.num_observations} observations, {estimates.num_unknowns} unknowns. The data "
        f"scatter around the curve by {hare:.1f} (hare) and {lynx:.1f} (lynx) {UNIT}. In "
        f"equilibrium there would be {values['gamma'] / values['delta']:.0f} {UNIT} of hare and "
        f"{values['alpha'] / values['beta']:.0f} of lynx, year after year. Standard errors come "
        "from the Fisher information with exact sensitivities; they take the equations to be "
        "true and the noise to be Gaussian."
    )
    for problem in estimates.problems:
        section.note(problem, "warning")


def _write_phase(page: Page, found: Findings) -> None:
    values = found.table.values
    portraits = [
        Portrait(
            model.name,
            curves=[Curve(model.curve[:, 0], model.curve[:, 1], model.name, role)],
            field=model.field,
            data=values[: found.seen],
            heldout=values[found.seen :],
        )
        for model, role in zip(found.models, ROLES, strict=True)
    ]
    hare, lynx = found.table.names
    page.section("Phase portrait").text(
        "Hare against lynx, time running along the curve. Lotka-Volterra can only go round and "
        "round on a closed orbit. The network was told no such thing; where there are no data, "
        "its stream lines are guesses."
    ).figure(
        draw_phase(portraits, names=(hare, lynx), unit=UNIT),
        "phase-portrait",
        f"The fitted vector fields, and the curves from {found.table.times[0]:.0f} (ring) to "
        f"{found.table.times[-1]:.0f}.",
    )


def _write_training(page: Page, found: Findings) -> None:
    equations, network = (model.estimator for model in found.models)
    stats, history = equations.stats_, network.history_
    tolerances = [_spell(model.work["tolerance"]) for model in found.models]
    (first, _), (second, each) = (
        average_history(model.estimator.history_, model.name, role)
        for model, role in zip(found.models, ROLES, strict=True)
    )
    forward, backward = (np.mean(history[f"nfe_{w}"][-50:]) for w in ("forward", "backward"))
    page.section("Training: loss and function evaluations").text(
        f"**Lotka-Volterra**: {stats['steps']} steps of Levenberg-Marquardt"
        f"{'' if stats['converged'] else ', which had not converged,'} at a tolerance of "
        f"{tolerances[0]} in double precision. Each solves the equations and their sensitivities "
        "together, so there is no backward pass."
    ).figure(
        draw_training([first]),
        "training-lotka-volterra",
        "Loss: the mean square error, in units of each animal's variance.",
    ).text(
        f"**The network**: {format_number(len(history['step']))} steps of AdamW at a tolerance of "
        f"{tolerances[1]} in single precision. At the end, a step takes {forward:.0f} evaluations "
        f"of the network forwards and {backward:.0f} backwards."
    ).figure(
        draw_training([second]),
        "training-neural-network",
        f"Means of {each} steps each. During the first {network.curriculum:.0%} of the steps "
        f"the fitted years grow from a few to all {found.seen}, and the loss may rise with them.",
    )


def _write_solver(page: Page, found: Findings) -> None:
    rows = [
        [model.name, model.work["precision"], _spell(model.work["tolerance"])]
        + [model.work[name] for name in ("steps", "accepted", "rejected", "evaluations")]
        for model in found.models
    ]
    tolerances = found.dials[0].tolerances
    pairs = list(zip(found.dials, SOLVER_ROLES, strict=False))
    by_tolerance = [Curve(d.tolerances, d.errors, d.name, role) for d, role in pairs]
    by_work = [Curve(d.evaluations, d.errors, d.name, role) for d, role in pairs]
    line = Curve(tolerances, tolerances, "error = tolerance", "baseline")
    axes = {"log_x": True, "log_y": True, "y_label": "largest relative error"}
    page.section("What the solver did").table(
        ["model", "precision", "tolerance", "steps", "accepted", "rejected", "evaluations"],
        rows,
        caption=f"One solve from {found.table.times[0]:.0f} to {found.table.times[-1]:.0f}, Tsit5",
    ).text(
        "A tolerance is a dial: it says how much accuracy to pay for. Here it is turned for the "
        f"fitted Lotka-Volterra equations, in double precision. {_spell_dials(found.dials)}"
    ).figure(
        draw_panels(
            [
                Panel("what a tolerance gives", [*by_tolerance, line], x_label="tolerance", **axes),
                Panel("what accuracy costs", by_work, x_label="function evaluations", **axes),
            ]
        ),
        "tolerances",
        "Errors against a much tighter solve, the largest over all years and both animals.",
    )


def _spell_dials(dials: list[Dial]) -> str:
    factors, costs = [], []
    for dial in dials:
        settled = dial.errors < 0.1  # looser, and the curve has lost its way altogether
        slope = np.polyfit(np.log10(dial.tolerances[settled]), np.log10(dial.errors[settled]), 1)[0]
        factors.append(f"{10**slope:.1f} with {dial.name}")
        enough = dial.evaluations[dial.errors <= _ACCURACY]
        cost = format_number(int(enough.min())) if len(enough) else "more than were tried"
        costs.append(f"{dial.name} {cost}")
    return (
        "A tolerance ten times smaller divides the error by "
        f"{', by '.join(factors)}. To stay within {_spell(_ACCURACY)} everywhere, the evaluations "
        f"needed are: {', '.join(costs)}."
    )


def _spell(number: float) -> str:
    """A tolerance as people write it: 0.0001, 1 × 10⁻⁸ as 10⁻⁸."""
    return format_number(number, 3, trim=True).removeprefix("1 × ")


def _totals(errors: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(error[-1]) for name, error in errors.items()}


_PARTS = (
    _write_data,
    _write_fits,
    _write_errors,
    _write_parameters,
    _write_phase,
    _write_training,
    _write_solver,
)
