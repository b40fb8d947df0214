"""Times come after answers, and nobody's turn is favoured."""

import time

import numpy as np
import pytest
from benchmarks.measure import Contestant, difference, in_turn, race


def contestant(by: str, value: float, wait: float = 0.0) -> Contestant:
    def call():
        time.sleep(wait)
        return value

    return Contestant(by, call, lambda result: (np.array([result, 1.0]), 7.0))


def test_answers_that_differ_are_not_timed():
    row = race({"what": "x"}, [contestant("neurode", 1.0), contestant("peer", 1.1)], 0.01)
    assert "neurode and peer differ" in row.problem
    assert all(entry.seconds is None and entry.ratio is None for entry in row.entries)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_an_answer_that_is_not_finite_is_not_timed(wrong):
    row = race({}, [contestant("neurode", 1.0), contestant("peer", wrong)], 0.01)
    assert row.problem == "peer: the answer is not finite"


def test_a_library_that_raises_spoils_its_row_only():
    def broken():
        raise ValueError("no such shape\nand much more")

    row = race({}, [contestant("neurode", 1.0), Contestant("peer", broken)], 0.01)
    assert "peer: ValueError" in row.problem
    assert "no such shape" in row.problem
    assert "much more" not in row.problem


def test_the_ratio_is_ours_to_theirs():
    row = race({}, [contestant("neurode", 1.0, 0.001), contestant("peer", 1.0, 0.01)], 0.2)
    assert not row.problem
    assert row.entries[0].ratio is None
    low, middle, high = row.entries[1].ratio
    assert low <= middle <= high < 0.8
    assert row.entries[1].evals == 7.0


def test_the_error_is_against_the_reference():
    row = race({}, [contestant("neurode", 1.0)], 0.01, reference=np.array([2.0, 1.0]))
    assert row.entries[0].error == pytest.approx(1 / 5**0.5)


def test_everyone_is_called_equally_often_in_step():
    counts = [0, 0]

    def call(i, wait):
        counts[i] += 1
        time.sleep(wait)

    in_turn([lambda: call(0, 0.0), lambda: call(1, 0.002)], 0.1, in_step=True)
    assert counts[0] == counts[1]


def test_answers_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        difference(np.zeros(2), np.zeros(3))
