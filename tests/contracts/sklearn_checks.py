"""scikit-learn's `check_estimator` in full, which takes minutes; run it by hand.

    PYTHONPATH=src:tests python tests/contracts/sklearn_checks.py

It prints one line per check and writes them to sklearn_checks.txt beside this file. A dozen of the
checks run in the suite (tests/estimators/test_sklearn.py).
"""

import time
from pathlib import Path

import sklearn
from sklearn.utils.estimator_checks import check_estimator

import neurode as nd

RECORD = Path(__file__).with_name("sklearn_checks.txt")

EQUIVALENCE = (
    "a row of weight 2 is one row of a batch, two equal rows are two: the losses are the same, but "
    "a batch is one joint solve whose steps depend on its rows, so the weights differ beyond 1e-7 "
    "(as with scikit-learn's own MLPs, which shuffle batches)"
)
CANNOT_APPLY = {
    "check_sample_weight_equivalence_on_dense_data": EQUIVALENCE,
}


def run_checks(estimator) -> list[str]:
    """One line per check: what became of it, its name, and why where it did not pass."""
    lines = []
    began = time.process_time()

    def note(**found):
        status, name = found["status"], found["check_name"]
        why = "" if found["exception"] is None else f": {str(found['exception']).splitlines()[:1]}"
        why = f": {CANNOT_APPLY[name]}" if status == "xfail" else why
        lines.append(f"{status:7} {name}{why}")
        print(lines[-1], f"({time.process_time() - began:.0f} s)", flush=True)

    check_estimator(
        estimator, expected_failed_checks=CANNOT_APPLY, on_fail=None, on_skip=None, callback=note
    )
    return lines


def main() -> None:
    """Check both estimators and write the record."""
    text = [f"scikit-learn {sklearn.__version__}, check_estimator in full"]
    for estimator in (nd.ODENetClassifier(steps=200), nd.ODENetRegressor(steps=200)):
        lines = run_checks(estimator)
        counts = {s: sum(line.startswith(s) for line in lines) for s in ("passed", "failed")}
        others = len(lines) - sum(counts.values())
        text += ["", f"{estimator}: {counts['passed']} passed, {counts['failed']} failed, "
                 f"{others} not applicable", *sorted(lines)]  # fmt: skip
    RECORD.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
