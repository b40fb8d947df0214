"""From measurements to words: what is wrong with a problem, and what to do."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.status import Status
from .case import Case
from .measuring import GradientRow, SolverRow, WindowRow
from .trajectory import Reference, Spectrum, keep_reached

# Thresholds, in one place. A finding is an alarm: each has to leave harmless problems alone.
_STIFF_STEPS = 150  # an explicit solve shorter than this is cheap, whatever the eigenvalues
_STIFF_GAIN = 3  # an implicit method takes at most a third of the steps
_STIFF_DECAY = 100  # the fastest decay, in units of the interval
_WRONG_GRADIENT = 0.02
_DIGITS = 4  # units in the last place that a tolerance must leave
_HUGE = 1e6
_GROWN, _FAST = 5, 1e3  # a state that runs away: it has grown, and would grow far more
_WASTE = 3  # another method needs a third of the evaluations
_REJECTED = 0.35  # share of attempts
_FEW_STEPS = 40


@dataclass(frozen=True)
class Finding:
    """Something that a user should know.

    Attributes:
        kind: "stiffness", "unstable backward solve", "discontinuity", "tolerance below precision",
            "blow-up", "undefined", "wasted budget" or "sensitivity".
        text: what was seen, with numbers, and what to do.
    """

    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Measured:
    """All that the rules look at."""

    case: Case
    reference: Reference
    spectrum: Spectrum | None
    jumps: np.ndarray
    solvers: list[SolverRow]
    windows: list[WindowRow]
    gradients: list[GradientRow]
    reconstruction: float | None
    in_double: SolverRow | None
    """The user's own solve in double precision, where theirs is coarser."""

    @property
    def own(self) -> SolverRow:
        """The user's own solver."""
        return self.solvers[0]

    def solver(self, name: str) -> SolverRow | None:
        """A candidate by name."""
        return next((row for row in self.solvers if row.name == name), None)

    def gradient(self, name: str) -> GradientRow | None:
        """A strategy by name; None where it was not measured."""
        return next((row for row in self.gradients if row.name == name and not row.problem), None)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found.

    Attributes:
        findings: what stands out, the gravest first; empty for a harmless problem.
        recommendation: which solver and which gradient, in words.
        measured: all numbers: `solvers`, `gradients`, `windows`, `spectrum`, `reconstruction`.
    """

    findings: list[Finding]
    recommendation: str
    measured: Measured


def find_all(m: Measured) -> list[Finding]:
    """All findings, the gravest first."""
    grave = [*find_blow_up(m), *find_precision(m), *find_jump(m), *find_stiffness(m)]
    return [*grave, *find_waste(m, grave), *find_unstable_way_back(m), *find_sensitivity(m)]


def find_blow_up(m: Measured) -> list[Finding]:
    """The solution grows without bound, or f is undefined on its way, also in double precision."""
    reference, case = m.reference, m.case
    failed = (Status.NON_FINITE, Status.STEP_UNDERFLOW)
    own = Status[m.own.status]
    overflows = own in failed and m.reference.is_whole and reference.scale > 1e30
    if reference.status not in failed and not overflows:
        return []
    sizes = np.abs(keep_reached(reference)[1]).max(axis=1)
    last = float(np.nanmax(np.abs(reference.ys[-1])))
    if len(m.jumps) and last < _HUGE * max(sizes[0], 1.0):
        return []  # a jump explains it
    at = f"t = {m.own.reached if overflows else reference.reached:.6g}"
    runs_away = last > _GROWN * np.median(sizes) and reference.speed * case.span > _FAST * last
    if overflows or last > _HUGE * max(sizes[0], 1.0) or runs_away:
        where = "overflows single precision" if overflows else f"has grown to {last:.3g} there"
        return [Finding("blow-up", (
            f"the solution blows up near {at}: |y| {where}, and no solver gets past it. End the "
            f"interval before, or bound f (a tanh at the end of a network, a weight decay) so that "
            f"it cannot."
        ))]  # fmt: skip
    return [Finding("undefined", (
        f"f becomes NaN or infinite near {at}, where |y| is only {last:.3g}: look for a root, a "
        f"logarithm or a division there. The interval ends at {float(case.ts[-1]):.6g}."
    ))]  # fmt: skip


def find_precision(m: Measured) -> list[Finding]:
    """A tolerance that the state's precision cannot resolve."""
    case, own, double = m.case, m.own, m.in_double
    scale = max(m.reference.scale, 1e-300) if np.isfinite(m.reference.scale) else 1.0
    relative = case.rtol + case.atol / scale
    adaptive = case.options["stepsize"].adaptive
    digits = "float32" if case.eps > 1e-10 else "float64"
    is_below = relative < _DIGITS * case.eps
    text = (
        f"rtol={case.rtol:g} and atol={case.atol:g} ask for a relative error of {relative:.1e}, "
        f"and {digits} resolves {case.eps:.1e}"
    )
    if not is_below and double is not None:
        ok = Status.SUCCESS.name
        if own.status != ok and double.status == ok:
            is_below = True
            text += f": the solve ends with {own.status}, in double precision it does not"
        elif own.steps > 1.5 * double.steps + 10:
            is_below = True
            text += (
                f": rounding costs {own.steps} steps where double precision takes {double.steps}"
            )
        elif own.error > 10 and double.error < 0.2 * own.error:
            is_below = True
            text += f": the error is {own.error:.2g} times the tolerance"
    if not (is_below and adaptive):
        return []
    remedy = "enable float64 (jax.config.update('jax_enable_x64', True)) or "
    remedy = remedy if digits == "float32" else ""
    return [Finding("tolerance below precision", (
        f"{text}. Steps are then rejected for rounding errors: {remedy}"
        f"use rtol={max(100 * case.eps, 1e-13):.0e} or more."
    ))]  # fmt: skip


def find_jump(m: Measured) -> list[Finding]:
    """f is discontinuous along the solution."""
    if not len(m.jumps):
        return []
    case = m.case
    shown = np.unique(np.round(m.jumps / max(case.span, 1e-300), 6)) * case.span
    times = ", ".join(f"{t:.6g}" for t in shown[:4]) + (", …" if len(shown) > 4 else "")
    rejected = sum(row.rejected for row in m.windows)
    also = f" ({rejected} rejected steps)" if rejected else ""
    return [Finding("discontinuity", (
        f"f jumps along the solution, at t = {times}{also}. If these times are known, name them: "
        f"stepsize=nd.IController(jump_at=[...]); if they depend on the state, use an event, or "
        f"smooth the jump (a sigmoid for a step)."
    ))]  # fmt: skip


def find_stiffness(m: Measured) -> list[Finding]:
    """Explicit steps are limited by stability: an implicit method needs far fewer."""
    implicit, explicit = m.solver("Rodas5P"), m.solver("Tsit5")
    if implicit is None or explicit is None or implicit.status != Status.SUCCESS.name:
        return []
    fails = explicit.status == Status.MAX_STEPS.name
    costs = explicit.steps > max(_STIFF_STEPS, _STIFF_GAIN * implicit.steps)
    rates = m.spectrum.fastest if m.spectrum is not None else np.array([np.inf])
    decays = rates.max(initial=0.0) * m.case.span > _STIFF_DECAY
    if not ((fails or costs) and decays):
        return []
    ratio = "" if m.spectrum is None else f" Stiffness ratio up to {m.spectrum.ratio.max():.2g}."
    how = "spends its whole budget" if fails else f"takes {explicit.steps} steps"
    return [Finding("stiffness", (
        f"the problem is stiff: Tsit5 {how}, Rodas5P takes {implicit.steps}.{ratio} Use "
        f"solver=nd.Rodas5P() or nd.Kvaerno5(), or nd.AutoSwitch() if only part of it is stiff."
    ))]  # fmt: skip


def find_waste(m: Measured, grave: list[Finding]) -> list[Finding]:
    """Work that buys nothing: a budget that runs out, rejected steps, a needlessly dear method."""
    own, case = m.own, m.case
    if grave:
        return []
    if own.status == Status.MAX_STEPS.name:
        best = _cheapest(m)
        hint = "" if best is None else f" {best.name} gets there in {best.steps}."
        return [Finding("wasted budget", (
            f"{own.name} spends its budget of {own.steps} steps before the end.{hint} Use another "
            f"solver, looser tolerances, or a larger max_steps."
        ))]  # fmt: skip
    if own.steps >= _FEW_STEPS and own.rejected > _REJECTED * own.steps:
        return [Finding("wasted budget", (
            f"{own.rejected} of {own.steps} attempted steps are rejected. Use "
            f"stepsize=nd.PIController(), or max_step= if f is driven by something fast."
        ))]  # fmt: skip
    best = _cheapest(m)
    if best is not None and own.steps >= _FEW_STEPS and own.nfe > _WASTE * best.nfe:
        return [Finding("wasted budget", (
            f"{own.name} evaluates f {own.nfe} times for an error of {own.error:.2g} tolerances; "
            f"{best.name} with adaptive steps reaches {best.error:.2g} with {best.nfe}. Use "
            f"solver=nd.{best.name}()."
        ))]  # fmt: skip
    if not case.options["stepsize"].adaptive and own.error < 1e-3 and own.steps > 200:
        return [Finding("wasted budget", (
            f"{own.steps} fixed steps give an error {1 / max(own.error, 1e-12):.0e} times smaller "
            f"than the tolerance. Use fewer, or adaptive steps."
        ))]  # fmt: skip
    return []


def _cheapest(m: Measured) -> SolverRow | None:
    """The candidate with fewest evaluations among those at least as accurate as they should be."""
    limit = max(m.own.error, 3.0) if np.isfinite(m.own.error) else 10.0
    fit = [
        row for row in m.solvers[1:]
        if row.status == Status.SUCCESS.name and not row.error > limit
    ]  # fmt: skip
    return min(fit, key=lambda row: row.nfe, default=None)


def find_unstable_way_back(m: Measured) -> list[Finding]:
    """The backward solve of `Backsolve` does not find the forward solution, nor the gradient.

    A state that is lost on the way back is no alarm by itself: where f is linear, the gradient
    does not depend on it.
    """
    back, taped = m.gradient("Backsolve"), m.gradient("Checkpointed")
    if back is None or m.reconstruction is None:
        return []
    own = taped.error if taped is not None and np.isfinite(taped.error) else 0.0
    # Far from the taped gradient, and from the problem's own: at loose tolerances the taped one
    # may be the one that is off.
    off = min(back.disagreement, np.inf if np.isnan(back.error) else back.error)
    if not off > max(_WRONG_GRADIENT, 3 * min(own, 0.3)):
        return []
    return [Finding("unstable backward solve", (
        f"the dynamics cannot be solved backwards: from t1 the state misses y0 by "
        f"{m.reconstruction:.2g} of its size, and the gradient by Backsolve is off by "
        f"{back.disagreement:.2g} (relative). Do not use gradient=nd.Backsolve(); "
        f"nd.Checkpointed() is exact, nd.Interpolated() is the continuous adjoint that holds."
    ))]  # fmt: skip


def find_sensitivity(m: Measured) -> list[Finding]:
    """The exact gradient of the discretisation is far from that of the problem."""
    taped = m.gradient("Checkpointed")
    if taped is None or not taped.error > 0.1 or m.own.error < 30:
        return []
    return [Finding("sensitivity", (
        f"at this tolerance the solution is off by {m.own.error:.2g} tolerances and its exact "
        f"gradient by {taped.error:.2g}: small errors grow along this solution (chaos?). Tighten "
        f"rtol, or shorten the interval (multiple shooting)."
    ))]  # fmt: skip


def recommend(m: Measured, findings: list[Finding]) -> str:
    """One sentence: solver and gradient."""
    kinds = {finding.kind for finding in findings}
    if kinds & {"blow-up", "undefined"}:
        return "Mend f or the interval first: no solver gets to the last time."
    best = m.solver("Rodas5P") if "stiffness" in kinds else _cheapest(m)
    own = m.own
    solver = own.name
    if best is not None and (own.status != "SUCCESS" or kinds & {"stiffness", "wasted budget"}):
        solver = best.name
    gradient = "nd.Checkpointed()"
    back = m.gradient("Backsolve")
    taped = m.gradient("Checkpointed")
    if taped is not None and back is not None and not findings:
        is_large = taped.memory_bytes > max(64 * 2**20, 8 * back.memory_bytes)
        gradient += ", or nd.Backsolve() where memory is short" if is_large else ""
    word = "Nothing stands out. " if not findings else ""
    return f"{word}Use solver=nd.{solver}() with gradient={gradient}."


def describe(value: Any) -> str:
    """A number in three digits, a dash for none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
