"""How a solve ended, in words."""

import copy
import pickle

import pytest

import neurode as nd


@pytest.mark.parametrize("status", list(nd.Status))
def test_every_status_has_a_sentence_that_helps(status):
    assert len(status.sentence) > 20
    if status != nd.Status.SUCCESS:
        assert any(word in status.sentence for word in ("try", "check", "must"))


def test_numbers_are_fixed():
    """They are stored in metrics and compared under jit: never renumber them."""
    assert nd.Status.SUCCESS == 0
    assert nd.Status.MAX_STEPS == 1
    assert nd.Status.STEP_UNDERFLOW == 2
    assert nd.Status.NON_FINITE == 3
    assert nd.Status.INVALID_INPUT == 4


@pytest.mark.parametrize("status", [nd.Status.MAX_STEPS, None])
@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
def test_an_error_survives_pickling(status, again):
    error = nd.SolveError("what happened", status)
    copied = again(error)
    assert type(copied) is nd.SolveError
    assert isinstance(copied, RuntimeError)
    assert (str(copied), copied.status) == ("what happened", status)
