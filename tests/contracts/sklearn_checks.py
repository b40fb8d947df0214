"""scikit-learn's `check_estimator` in full, which takes minutes; run it by hand.

    PYTHONPATH=src python tests/contracts/sklearn_checks.py

It prints a line per check, and writes those of each estimator to sklearn_checks_NAME.txt beside
this file. A dozen of the checks run in the suite (tests/estimators/test_sklearn.py).
"""

import sys
import time
from pathlib import Path

import sklearn
from sklearn.utils.estimator_checks import check_estimator

import neurode as nd

# A small network and a solver of two stages: the checks compile some two hundred programs.
SETTINGS = {
    "width": 8,
    "hidden": (16,),
    "solver": nd.HeunEuler(),
    "gradient": nd.Direct(),
    "tolerance": 1e-2,
    "max_steps": 256,
    "steps": 120,
    "learning_rate": 0.03,
}
ESTIMATORS = {"classifier": nd.ODENetClassifier, "regressor": nd.ODENetRegressor}
CANNOT_APPLY = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is one row of a batch, two equal rows are two: the losses are the same, "
        "but a batch is one joint solve whose steps depend on its rows, so the weights differ "
        "beyond 1e-7 (scikit-learn excuses its own MLPs from it, too)"
    ),
}


def run_checks(estimator) -> list[str]:
    """One line per check: what became of it, its name, and why where it did not pass."""
    lines = []
    began = time.process_time()

    def note(**found):
        status, name = found["status"], found["check_name"]
        why = "" if found["exception"] is None else ": " + " ".join(str(found["exception"]).split())
        why = f": {CANNOT_APPLY[name]}" if status == "xfail" else why
        lines.append(f"{status:7} {name}{why[:400]}")
        print(lines[-1], f"({time.process_time() - began:.0f} s)", flush=True)

    check_estimator(
        estimator, expected_failed_checks=CANNOT_APPLY, on_fail=None, on_skip=None, callback=note
    )
    return lines


def main(names: list[str]) -> None:
    """Check the estimators of these names, all if there are none, and write their records."""
    for name in names or list(ESTIMATORS):
        estimator = ESTIMATORS[name](**SETTINGS)
        lines = run_checks(estimator)
        passed = sum(line.startswith("passed") for line in lines)
        failed = sum(line.startswith("failed") for line in lines)
        head = (
            f"{type(estimator).__name__}, check_estimator of scikit-learn {sklearn.__version__}: "
            f"{passed} passed, {failed} failed, {len(lines) - passed - failed} cannot apply"
        )
        record = Path(__file__).with_name(f"sklearn_checks_{name}.txt")
        record.write_text("\n".join([head, "", *sorted(lines)]) + "\n", encoding="utf-8")
        print(head)


if __name__ == "__main__":
    main(sys.argv[1:])
