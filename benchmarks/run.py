"""Measure neurode against its peers and write RESULTS.md, results.json and plots/ beside this file.

    python -m benchmarks.run [--case a b ...] [--budget SECONDS] [--update]

All cases at the full budget make the report. A part of them, or another budget, is a trial: it goes
to `out/`, unless `--update` puts the cases that were run into the report in place of the old ones.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent

from benchmarks import goals, report
from benchmarks.cases.catalogue import CASES
from benchmarks.rows import Row

FULL_BUDGET = 1.5


def main() -> None:
    """Run the cases, each in a process of its own, and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--case", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE",
        help=f"of {', '.join(CASES)}; all of them without it",
    )  # fmt: skip
    parser.add_argument("--budget", type=float, default=FULL_BUDGET, help="seconds per row")
    parser.add_argument("--update", action="store_true", help="put these cases into the report")
    options = parser.parse_args()
    results = report.read(HERE) if options.update else report.Results()
    for letter in options.case:
        results.cases[letter] = measure(letter, options.budget)
        page = report.write(results, HERE / "out")  # what is known so far, should this be stopped
    is_full = set(options.case) == set(CASES) and options.budget >= FULL_BUDGET
    if is_full or options.update:
        page = report.write(results, HERE)
    print(goals.table([row for case in results.cases.values() for row in case.rows]))
    print(f"written: {page}")


def measure(letter: str, budget: float) -> report.CaseResult:
    """All rows of one case, for each of its numbers of threads."""
    case, start = CASES[letter], time.time()
    result = report.CaseResult(budget=budget, date=time.strftime("%Y-%m-%d"), **report.source())
    for threads in case.threads:
        print(f"--- ({letter}) {case.module}, {threads} thread{'s' * (threads > 1)}", flush=True)
        with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file:
            command = [sys.executable, "-m", "benchmarks.worker", letter, "--threads", str(threads)]
            command += ["--budget", str(budget * case.weight), "--out", file.name]
            code = subprocess.run(command, cwd=HERE.parent).returncode
            result.rows += [Row.from_json(json.loads(line)) for line in file]
        if code:
            result.problems.append(f"stopped with exit code {code} at {threads} threads")
            print(f"({letter}) {result.problems[-1]}", flush=True)
    result.seconds = time.time() - start
    return result


if __name__ == "__main__":
    main()
