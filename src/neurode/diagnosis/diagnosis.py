"""`diagnose`: run the candidates on a problem and say what a practitioner needs to know."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import arguments
from ..gradients.checkpointed import Checkpointed
from ..solvers.explicit_rk import Tsit5
from ..solvers.solver import Solver
from ..stepping.controller import IController, StepController
from .case import Case
from .findings import Measured, Verdict, find_all, recommend
from .measuring import (
    STRATEGIES,
    exact_gradient,
    measure_gradients,
    measure_reconstruction,
    measure_solver,
    measure_solvers,
    measure_windows,
)
from .trajectory import find_jumps, find_reference, find_spectrum

if TYPE_CHECKING:
    import pandas as pd

_OWN_STEPS = IController()
_DOUBTFUL = 100  # below so many units in the last place, precision may be what limits a solve


class Diagnosis(Verdict):
    """What was found. Print it, or ask for a table or a page.

    Attributes:
        findings: what stands out, the gravest first; empty for a harmless problem.
        recommendation: which solver and which gradient, in words.
        measured: all numbers: `solvers`, `gradients`, `windows`, `spectrum`, `reconstruction`.
    """

    @property
    def kinds(self) -> list[str]:
        """The kinds of the findings."""
        return [finding.kind for finding in self.findings]

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per solver and per gradient strategy, with all that was measured of it.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd

        rows = [{"what": "solver", **dataclasses.asdict(row)} for row in self.measured.solvers]
        rows += [{"what": "gradient", **dataclasses.asdict(row)} for row in self.measured.gradients]
        return pd.DataFrame(rows)

    def write_report(self, folder: str | Path, command: str = "") -> Path:
        """Write report.html and its figures; needs matplotlib.

        Args:
            folder: made if missing.
            command: what makes the page again.

        Returns:
            The path of report.html.
        """
        from .page import make_page

        return make_page(self).write(folder, command=command)

    def __str__(self) -> str:
        """The tables and the findings as text."""
        from .printing import render

        return render(self)

    def __rich__(self) -> Any:
        """The same in colour, for `rich.print`."""
        from .printing import compose

        return compose(self)


def diagnose(
    f: Callable,
    y0: Any,
    ts: Any,
    args: tuple = (),
    *,
    solver: Solver = Tsit5(),  # noqa: B008
    rtol: float = 1e-4,
    atol: float = 1e-6,
    stepsize: StepController = _OWN_STEPS,
    max_steps: int = 4096,
    gradients: Sequence[str] | None = None,
) -> Diagnosis:
    """Run candidate solvers and all gradient strategies on a problem, and judge it.

    Everything is measured on the problem itself, against a reference in double precision. Takes
    a minute, most of it compiling. The gradients are those of a weighted sum of the last state
    with respect to y0, args, and the arrays of f when f is a pytree.

    Args:
        f: the vector field, as for `nd.solve`.
        y0: the initial state.
        ts: the save times.
        args: further arguments of f.
        solver: the solver that is used now.
        rtol: the relative tolerance that is used now.
        atol: the absolute tolerance that is used now.
        stepsize: what decides the step size now.
        max_steps: the budget of steps now.
        gradients: names of the strategies to measure, such as ("Checkpointed", "Backsolve"); None
            measures all, () none.

    Returns:
        A `Diagnosis`: print it; `.findings`, `.recommendation`, `.to_dataframe()`,
        `.write_report(folder)`.

    Raises:
        TypeError, ValueError, SolveError: for what `nd.solve` would not take either.
    """
    gradients = None if gradients is None else tuple(gradients)
    for name in gradients or ():
        if name not in STRATEGIES:
            raise ValueError(f"no gradient strategy {name!r}; there are {', '.join(STRATEGIES)}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if np.ndim(value) != 0 or isinstance(value, (str, dict)):
            raise TypeError(f"diagnose takes one number as {name}, got {value!r}")
    arguments.check_options(solver, stepsize, _NO_GRADIENT, False, None, None, max_steps, False)
    arguments.check_args(args)
    args = jax.tree_util.tree_map(_as_array, args)
    y0 = arguments.read_state(y0)
    ts = np.asarray(arguments.read_times(ts, y0))
    if ts[0] == ts[-1]:
        raise ValueError(f"ts must span an interval, got t0 = t1 = {ts[0]:g}")
    options = {"stepsize": stepsize, "max_steps": max_steps}
    case = Case(f, y0, ts, args, solver, float(rtol), float(atol), options)
    measured = _measure(case, gradients)
    findings = find_all(measured)
    return Diagnosis(findings, recommend(measured, findings), measured)


_NO_GRADIENT = Checkpointed()


def _as_array(x: Any) -> Any:
    """Numbers that a gradient can be asked for, as arrays."""
    is_number = isinstance(x, (float, complex, np.floating, np.complexfloating))
    is_array = isinstance(x, np.ndarray) and np.issubdtype(x.dtype, np.inexact)
    return jnp.asarray(x) if is_number or is_array else x


def _measure(case: Case, names: Sequence[str] | None) -> Measured:
    plain = case.solve()
    is_costly = int(plain.stats.num_steps) >= min(1500, case.options["max_steps"])
    with jax.enable_x64(True):
        double = case.in_double()
        reference = find_reference(double, is_costly)
        spectrum = find_spectrum(double, reference)
        jumps = find_jumps(double, reference)

        in_double = None
        if case.eps > 1e-10 and case.rtol < _DOUBTFUL * case.eps:
            in_double = measure_solver(double, double.solver, reference, double.options)
    solvers = measure_solvers(case, reference)
    rows, reconstruction = [], None
    is_solved = solvers[0].status == "SUCCESS"
    if is_solved:
        reconstruction = measure_reconstruction(case)
    if names != () and is_solved and reference.is_whole:
        with jax.enable_x64(True):
            exact = exact_gradient(double, reference)
        rows = measure_gradients(case, exact, names)
    windows = measure_windows(case)
    return Measured(
        case, reference, spectrum, jumps, solvers, windows, rows, reconstruction, in_double
    )
