"""How hard a search for parameters tries."""

import math
from dataclasses import replace
from typing import NamedTuple

from neurode.estimators.least_squares import ENOUGH
from neurode.models import SolveOptions

_NEAR_TOLERANCE = 1e-5
_NEAR_ITERATIONS = 30
_NEAR_ENOUGH = 1e-2  # nats: within 0.14 standard errors of the best


class Effort(NamedTuple):
    """How hard a search tries.

    Attributes:
        options: how trajectories are solved.
        max_iterations: steps at most.
        enough: nats; with no more to gain, one further step ends it.
    """

    options: SolveOptions
    max_iterations: int
    enough: float = ENOUGH

    def over_segments(self, count: int) -> "Effort":
        """What a search over segments is worth, as it only has to lead near.

        A trial that cannot be solved costs its whole budget of steps. A segment gets twice its
        share of what a trajectory may take, less what a looser tolerance saves: steps grow with
        its root of the order.

        Args:
            count: segments of each trajectory.
        """
        options = self.options
        rtol, atol = (max(tolerance, _NEAR_TOLERANCE) for tolerance in (options.rtol, options.atol))
        order = options.solver.error_order or 1
        saved = min(rtol / max(options.rtol, 1e-16), atol / max(options.atol, 1e-16)) ** (1 / order)
        most = math.ceil(2 * options.max_steps / count / saved)
        brief = replace(options, rtol=rtol, atol=atol, max_steps=min(most, options.max_steps))
        return Effort(brief, min(self.max_iterations, _NEAR_ITERATIONS), _NEAR_ENOUGH)
