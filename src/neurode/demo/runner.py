"""Runs the sections one after the other and puts what came out on one page."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from neurode.demo.co2 import MAUNA_LOA
from neurode.demo.coal import COAL
from neurode.demo.density import DENSITY
from neurode.demo.digits import DIGITS
from neurode.demo.dynamics import LYNX_HARE
from neurode.demo.section import DemoSection, SectionResult
from neurode.demo.stages import Stages
from neurode.report import Page
from neurode.report.style import apply_style
from neurode.store import saving, write_bytes

SECTIONS: tuple[DemoSection, ...] = (LYNX_HARE, DENSITY, DIGITS, MAUNA_LOA, COAL)
"""In the order of the page; a new section is a file and an entry here."""


def run_demo(
    folder: str | Path,
    *,
    seed: int = 0,
    effort: float = 1.0,
    sections: Sequence[DemoSection] = SECTIONS,
    stages: Stages | None = None,
    command: str = "neurode demo",
) -> Path:
    """Run the demonstration and write its report.

    Args:
        folder: for report.html, its figures and metrics.json; made if missing, and files of an
            earlier demonstration in it are replaced.
        seed: of everything random: the same seed gives the same numbers on one machine.
        effort: scales the optimiser steps; below 1 nothing it says about quality holds.
        sections: what to run.
        stages: how progress is shown; None says it on standard error.
        command: what made it, for the foot of the page.

    Returns:
        The path of report.html.

    Raises:
        SaveError: the folder cannot be made or written.
        ImportError: matplotlib is missing.
    """
    began = time.perf_counter()
    folder, stages = Path(folder), Stages() if stages is None else stages
    _check_ready(folder)
    results: dict[str, SectionResult] = {}
    for section in sections:
        stages.begin(section.title)
        results[section.name] = section.run(folder, stages, seed=seed, effort=effort)
    stages.begin("Report")
    with stages.part("drawing figures"):
        page = _make_page(results)
    seconds = time.perf_counter() - began
    _write_times(page, stages, seconds)
    numbers = {name: dict(result.numbers) for name, result in results.items()}
    record = {"seed": seed, "effort": effort, "seconds": round(seconds, 1), "sections": numbers}
    write_bytes(folder / "metrics.json", (json.dumps(record, indent=2) + "\n").encode())
    with saving(folder):
        return page.write(folder, command=command, seconds=seconds)


def _check_ready(folder: Path) -> None:
    """Fail now rather than after all the work."""
    with apply_style():  # is matplotlib there?
        pass
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "metrics.json", b"{}\n")


def _make_page(results: dict[str, SectionResult]) -> Page:
    page = Page(
        "neurode: a demonstration",
        "Models that are differential equations, fitted to real data through the solver, on this "
        "machine, just now.",
    )
    for result in results.values():
        page.summary.text(result.summary).facts(result.headline, big=True)
        result.write(page)
    return page


def _write_times(page: Page, stages: Stages, seconds: float) -> None:
    rows = [
        [title, what, took]
        for title, parts in stages.seconds.items()
        for what, took in parts.items()
    ]
    rest = seconds - sum(took for _, _, took in rows)
    page.section("Where the time went").table(
        ["section", "part", "seconds"],
        [*rows, ["", "everything else", max(rest, 0.0)], ["", "**all**", seconds]],
        digits=3,
    ).text("Each part includes the compilation of its programs, which happens once per process.")
