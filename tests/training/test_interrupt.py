"""Ctrl-C and SIGTERM stop a fit softly, once more at once, and leave no handler behind."""

import os
import signal
import threading
import time

import equinox as eqx
import pytest

from neurode.training.interrupt import Interrupt

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def handlers():
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_saves_and_stops_and_the_run_goes_on(regression, tmp_path, number):
    def callback(step, model, metrics):
        if step == 8 and not resumed:
            os.kill(os.getpid(), number)

    before, resumed = handlers(), False
    first = regression.train(tmp_path, steps=20, callback=callback)
    assert (first.interrupted, first.steps_done) == (True, 8)
    assert handlers() == before
    resumed = True
    second = regression.train(tmp_path, steps=20, callback=callback)
    assert (second.interrupted, second.steps_done) == (False, 20)
    assert eqx.tree_equal(second.model, regression.train(None, steps=20).model)


def test_ctrl_c_is_heeded_within_a_second(regression):
    regression.train(None, steps=1)  # compiled
    sent = []

    def press():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(1.5, press)
    timer.start()
    result = regression.train(None, steps=10**8)
    assert time.monotonic() - sent[0] < 2  # about half a second, and slack for a busy machine
    assert result.interrupted
    assert len(result.history["loss"]) == result.steps_done > 1000


def test_a_second_signal_stops_at_once(regression, tmp_path):
    def callback(step, model, metrics):
        if step == 8:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        regression.train(tmp_path, steps=20, callback=callback, checkpoint_every=4)
    assert handlers() == before
    assert not (tmp_path / "lock").exists()
    assert regression.train(tmp_path, steps=20).steps_done == 20


def test_another_thread_installs_no_handlers(regression):
    seen, before = [], handlers()

    def work():
        callback = lambda *_: seen.append(handlers())  # noqa: E731
        seen.append(regression.train(None, steps=4, callback=callback).steps_done)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, 4]


def test_ignored_signals_stay_ignored():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert not interrupt.requested
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)
