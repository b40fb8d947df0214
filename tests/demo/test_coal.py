"""The section on coal mines: a split that is fair, the usual estimates, and the page."""

import numpy as np

from neurode.data import coal_disasters
from neurode.demo import SECTIONS
from neurode.demo import coal as section
from neurode.demo.coal_findings import CONSTANT, KERNEL, MODEL
from neurode.demo.coal_page import present
from neurode.estimators import Intensity


class Flat:
    """Stands for a model: a constant rate, too high by half."""

    stats_ = {"seconds": 1.0}
    history_ = {n: np.ones(3) for n in ("step", "loss", "nfe_forward", "nfe_backward")}

    def __init__(self, rate):
        self.rate = 1.5 * rate

    def intensity(self, t):
        return Intensity(*(np.full(len(t), self.rate * x) for x in (1, 0.9, 1.1)))

    def expected_count(self, window):
        return self.rate * float((window[1] - window[0]) / np.timedelta64(1, "D"))

    def residuals(self, events):
        from neurode.estimators.time_rescaling import Residuals

        return Residuals(np.ones(3), 0.5, 0.1)


def test_the_split_and_the_scores():
    events = coal_disasters()
    learned, held_out = section.thin(events, 0.25, seed=0)
    assert learned.count + held_out.count == 191
    assert np.array_equal(
        np.sort(np.concatenate([learned.times[0], held_out.times[0]])), events.times[0]
    )
    found = section.compare(events, learned, held_out, Flat(learned.count / learned.exposure))
    m = held_out.count
    # A rate too high by half: log 1.5 gained per event, half of their number lost.
    assert np.isclose(found.scores[MODEL] - found.scores[CONSTANT], m * (np.log(1.5) - 0.5))
    assert found.scores[KERNEL] > found.scores[CONSTANT]
    result = present(found)
    assert "loses to the kernel estimate" in result.summary
    assert section.COAL in SECTIONS
