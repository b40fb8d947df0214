"""Results on disk: `results.json`, and from it alone RESULTS.md and the plots.

python -m benchmarks.report [FOLDER]      # write RESULTS.md and plots/ again from results.json
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).parent

from benchmarks import goals, plots, tables
from benchmarks.cases.catalogue import CASES
from benchmarks.rows import Row

PACKAGES = ("neurode", "jax", "jaxlib", "diffrax", "scipy", "torch", "torchdiffeq", "torchode")
QUIET = 0.95


@dataclass
class CaseResult:
    """The rows of one case, and where they come from."""

    budget: float = 0.0
    date: str = ""
    commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class Results:
    """All that was measured, by the letter of its case."""

    cases: dict[str, CaseResult] = field(default_factory=dict)


def source() -> dict:
    """What is measured, and on what: for a `CaseResult`."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"commit": commit(), "versions": versions, "machine": machine()}


def commit() -> str:
    """The commit that is checked out, with a plus where files differ from it."""
    try:
        run = lambda *command: subprocess.run(  # noqa: E731
            ["git", *command], cwd=HERE, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = run("status", "--porcelain", "--untracked-files=no", "--", "../src", ".")
        return run("rev-parse", "--short", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> str:
    """The processor and its number of cores."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def read(folder: Path) -> Results:
    """Results written before; empty when there are none."""
    path = folder / "results.json"
    if not path.exists():
        return Results()
    cases = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        {
            letter: CaseResult(**{**case, "rows": [Row.from_json(row) for row in case["rows"]]})
            for letter, case in cases.items()
        }
    )


def write(results: Results, folder: Path) -> Path:
    """Write everything, and return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = {letter: asdict(results.cases[letter]) for letter in CASES if letter in results.cases}
    (folder / "results.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    page = folder / "RESULTS.md"
    page.write_text(text(results, folder), encoding="utf-8")
    return page


def text(results: Results, folder: Path) -> str:
    """RESULTS.md."""
    found = [results.cases[letter] for letter in CASES if letter in results.cases]
    rows = [row for case in found for row in case.rows]
    parts = ["# neurode against its peers", opening(results, rows)]
    parts += ["## Goals", goals.table(rows)]
    for letter in CASES:
        if letter not in results.cases:
            continue
        case, module = results.cases[letter], CASES[letter].load()
        threads = " and ".join(map(str, CASES[letter].threads))
        parts += [f"## ({letter}) {module.TITLE}", module.NOTE, provenance(case, threads)]
        parts += [f"**Incomplete: {problem}.**" for problem in case.problems]
        parts += [
            f"![{figure.stem}]({figure.relative_to(folder).as_posix()})"
            for figure in plots.draw(module.PLOTS, case.rows, folder / "plots")
        ]
        parts += [tables.table(case.rows)]
    return "\n\n".join(parts) + "\n"


def opening(results: Results, rows: list[Row]) -> str:
    """How to read the page, and everything that limits what it says."""
    lines = [
        "Written by `make bench`. Everyone solves the same problem in turn, in one process; times "
        "are medians, ratios medians of the pairs with their quartiles, and below 1 neurode is "
        "faster. Answers are compared before anything is timed. How to read and repeat this: "
        "`docs/guides/benchmarks.md`.",
    ]
    missing = [letter for letter in CASES if letter not in results.cases]
    if missing:
        lines.append(f"**Not run: {', '.join(missing)}.**")
    wrong = sum(bool(row.problem) for row in rows)
    if wrong:
        lines.append(f"**{wrong} of {len(rows)} rows have no times: see below.**")
    absent = {e.by for row in rows for e in row.entries if e.note == "not installed"}
    if absent:
        lines.append(f"**Not installed, so not compared with: {', '.join(sorted(absent))}.**")
    busy = [row for row in rows if row.share is not None and row.share < QUIET]
    if busy:
        lines.append(
            f"**The machine was busy: in {len(busy)} of {len(rows)} rows the process had less "
            f"than {QUIET:.0%} of its cores. Do not quote these numbers.**"
        )
    return "\n\n".join(lines)


def provenance(case: CaseResult, threads: str) -> str:
    """One line on when, where and from what."""
    versions = ", ".join(f"{name} {version}" for name, version in case.versions.items())
    return (
        f"*{case.date}, commit {case.commit}, {case.machine}, threads: {threads}; "
        f"about {case.budget:g} s a row, {case.seconds:.0f} s in all; {versions}.*"
    )


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    print(f"written: {write(read(place), place)}")
