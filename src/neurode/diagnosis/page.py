"""A diagnosis as an HTML page."""

import numpy as np

from ..report import Curve, Page, Panel, draw_panels
from .findings import Verdict
from .printing import GRADIENT_HEADER, SOLVER_HEADER, facts, gradient_cells, solver_cells


def make_page(diagnosis: Verdict) -> Page:
    """Compose the page.

    Args:
        diagnosis: what was found.
    """
    m = diagnosis.measured
    page = Page("Diagnosis of an initial value problem", diagnosis.recommendation)
    summary = page.summary
    for finding in diagnosis.findings:
        summary.note(f"**{finding.kind}**: {finding.text}", "warning")
    if not diagnosis.findings:
        summary.note("Nothing stands out: no alarm was raised.")
    solvers = page.section("Solvers")
    solvers.table(
        SOLVER_HEADER, solver_cells(diagnosis), best={"NFE": "min"},
        caption=f"at rtol={m.case.rtol:g}, atol={m.case.atol:g}; the first is the one in use",
    )  # fmt: skip
    if m.gradients:
        page.section("Gradients").table(
            GRADIENT_HEADER, gradient_cells(diagnosis),
            caption="of a weighted sum of the last state; error against a far more accurate solve, "
            "and against the exact gradient of the same steps",
        )  # fmt: skip
    along = page.section("Along the solution")
    along.facts(facts(diagnosis))
    figure = draw_panels(_panels(diagnosis), panel_height=2.2)
    along.figure(figure, "along", "The reference solution, decay rates, and the steps taken.")
    return page


def _panels(diagnosis: Verdict) -> list[Panel]:
    m = diagnosis.measured
    ts, ys = m.reference.ts, m.reference.ys
    order = np.argsort(ts)
    finite = order[np.isfinite(ys[order]).all(axis=1)]
    roles = ("model", "second", "truth", "baseline")
    curves = [
        Curve(ts[finite], ys[finite, i], f"y[{i}]", role)
        for i, role in zip(range(min(ys.shape[1], len(roles))), roles, strict=False)
    ]
    panels = [Panel("the solution", curves, x_label="t")]
    if m.spectrum is not None and len(m.spectrum.ts):
        rate = Curve(m.spectrum.ts, np.maximum(m.spectrum.fastest, 1e-6), "decay rate", "model")
        panels.append(Panel("fastest decay rate", [rate], x_label="t", log_y=True))
    if m.windows:
        middle = np.array([(row.start + row.end) / 2 for row in m.windows])
        steps = Curve(middle, np.array([row.steps for row in m.windows]), "attempted", "model")
        rejected = Curve(
            middle, np.array([row.rejected for row in m.windows]), "rejected", "second"
        )
        panels.append(Panel("steps per twentieth", [steps, rejected], x_label="t"))
    return panels
