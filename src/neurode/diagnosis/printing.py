"""A diagnosis as text."""

import io
from typing import Any

from .findings import Verdict, describe

SOLVER_HEADER = ("solver", "status", "steps", "rejected", "NFE", "ms", "error / tolerance")
GRADIENT_HEADER = (
    "gradient", "solver", "NFE", "NFE back", "ms", "kB", "error",
    "off exact",
)  # fmt: skip


def solver_cells(diagnosis: Verdict) -> list[list[Any]]:
    """The cells of the table of solvers."""
    return [
        [row.name, row.status, row.steps, row.rejected, row.nfe, row.milliseconds, row.error]
        for row in diagnosis.measured.solvers
    ]


def gradient_cells(diagnosis: Verdict) -> list[list[Any]]:
    """The cells of the table of gradient strategies."""
    return [
        [
            row.name, row.solver, row.nfe_forward, row.nfe_backward, row.milliseconds,
            row.memory_bytes / 1e3, row.error, row.disagreement,
        ]
        for row in diagnosis.measured.gradients
    ]  # fmt: skip


def facts(diagnosis: Verdict) -> dict[str, str]:
    """The numbers that belong to no solver."""
    m = diagnosis.measured
    result = {}
    if m.reconstruction is not None:
        result["state missed when solved back to t0"] = f"{m.reconstruction:.2g} of its size"
    if m.spectrum is not None and len(m.spectrum.ratio):
        low, high = m.spectrum.ratio.min(), m.spectrum.ratio.max()
        result["stiffness ratio along the solution"] = f"{low:.3g} to {high:.3g}"
    busy = [row for row in m.windows if row.rejected]
    worst = sorted(busy, key=lambda row: -row.rejected)[:3]
    if worst:
        spans = (f"{row.rejected} in [{row.start:.4g}, {row.end:.4g}]" for row in worst)
        result["steps rejected, most"] = ", ".join(spans)
    return result


def compose(diagnosis: Verdict) -> Any:
    """Tables and findings for rich."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    for header, rows in (
        (SOLVER_HEADER, solver_cells(diagnosis)),
        (GRADIENT_HEADER, gradient_cells(diagnosis)),
    ):
        if not rows:
            continue
        table = Table(show_edge=False, pad_edge=False)
        for name in header:
            is_word = name in ("solver", "status", "gradient")
            table.add_column(name, justify="left" if is_word else "right", no_wrap=True)
        for row in rows:
            table.add_row(*map(describe, row))
        parts += [table, Text("")]
    skipped = [row for row in diagnosis.measured.gradients if row.problem]
    parts += [Text(f"{row.name}: {row.problem}") for row in skipped]
    parts += [Text(f"{name}: {value}") for name, value in facts(diagnosis).items()]
    for finding in diagnosis.findings:
        parts.append(Text.assemble((f"{finding.kind}: ", "bold red"), finding.text))
    parts.append(Text.assemble(("recommendation: ", "bold green"), diagnosis.recommendation))
    return Group(*parts)


def render(diagnosis: Verdict, width: int = 100) -> str:
    """The same as plain text."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    console.print(compose(diagnosis))
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
