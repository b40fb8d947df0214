"""What must be reached, and what is aimed at: the worst case over all rows counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.rows import Row


@dataclass(frozen=True)
class Goal:
    """An upper bound on a number that rows report under the goal's key.

    Attributes:
        what: in words.
        must: the bound.
        aim: a better one.
        unit: of the number.
    """

    what: str
    must: float
    aim: float | None = None
    unit: str = ""


GOALS = {
    "forward": Goal("forward, per solve: neurode / diffrax", 1.0, 0.8),
    "exact, small": Goal("exact gradient, first three sizes: / diffrax", 0.67, 0.5),
    "exact, large": Goal("exact gradient, 512 x 64, 256: / diffrax", 0.85, 0.6),
    "adjoint, small": Goal("continuous adjoint, first three sizes: / diffrax", 0.5, 0.33),
    "adjoint, large": Goal("continuous adjoint, 512 x 64, 256: / diffrax", 0.75, 0.5),
    "lanes alike": Goal("1,024 lanes alike, forward and gradient: / diffrax", 0.2, 0.1),
    "lanes spread": Goal("1,024 lanes spread, forward and gradient: / diffrax", 0.08, 0.04),
    "compile, single": Goal("compile time of value and gradient, one system: / diffrax", 0.5, 0.33),
    "compile, lanes": Goal("the same, vmapped: / diffrax", 1.0, 0.5),
    "stiff, scipy": Goal("stiff problems: / SciPy's Radau and BDF", 1.0),
    "stiff, diffrax": Goal("stiff problems: / diffrax's Kvaerno5", 1.0),
    "training": Goal("training iteration of torchdiffeq's examples: / torchdiffeq", 0.05, 0.02),
    "epoch, adjoint": Goal("an epoch of the ODE-Net, adjoint: / torchdiffeq", 1.0, 0.7),
    "epoch, exact": Goal("the same, exact gradient: / torchdiffeq's backpropagation", 1.2, 0.8),
    "gradient error": Goal("error of the gradient: neurode's / diffrax's", 1.0),
    "floor, forward": Goal("forward / NFE evaluations of f, where f takes 2 µs or more", 1.3),
    "floor, gradient": Goal("exact gradient / NFE evaluations of f, and of f with its vjp", 2.0),
    "one more save time": Goal("one more save time, 64 lanes of dimension 4", 1.0, 0.3, "µs"),
}


def reports(rows: Iterable[Row], key: str) -> list[tuple[float, Row]]:
    """Every value reported for a goal with its row, the worst first."""
    found = [(row.checks[key], row) for row in rows if key in row.checks and not row.problem]
    return sorted(found, key=lambda pair: -pair[0])


def table(rows: Sequence[Row]) -> str:
    """All goals beside what was measured, in Markdown."""
    lines = ["| | must | aim | worst | | of rows | where |", "|---|---|---|---|---|---|---|"]
    for key, goal in GOALS.items():
        bounds = [f"≤ {goal.must:g}", "" if goal.aim is None else f"≤ {goal.aim:g}"]
        found = reports(rows, key)
        if not found:
            lines.append(f"| {goal.what} | {' | '.join(bounds)} | not measured | | 0 | |")
            continue
        value, row = found[0]
        where = ", ".join(f"{label} {text}" for label, text in row.labels.items())
        lines.append(
            f"| {goal.what} | {' | '.join(bounds)} | **{value:.3g}** {goal.unit} "
            f"| {verdict(goal, value)} | {len(found)} | {where} |"
        )
    return "\n".join(lines)


def verdict(goal: Goal, value: float) -> str:
    """Whether a value reaches the aim, what it must, or neither."""
    if value > goal.must:
        return "**missed**"
    return "reached" if goal.aim is None or value > goal.aim else "aim reached"
