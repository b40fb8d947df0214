"""Steps that are fixed beforehand: equal steps, or a grid of times."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..core.types import Scalar
from .controller import Decision, Limits, StepController


class FixedSteps(StepController):
    """What all fixed steps share: no memory, and every step is accepted."""

    adaptive: ClassVar[bool] = False

    def start(self, dtype: Any) -> None:
        """Fixed steps need no memory."""
        return None

    def decide(self, error: Scalar, h: Scalar, error_order: Any, state: Any) -> Decision:
        """Every step is accepted, and the next is planned as this one was."""
        return Decision(jnp.asarray(True), h, state)


class ConstantSteps(FixedSteps):
    """n equal steps over [t0, t1]. Save times between them are interpolated.

    Args:
        n: the number of steps. It replaces max_steps as the budget.

    Raises:
        TypeError, ValueError: when n is not a positive whole number.
    """

    n: int = eqx.field(static=True)
    limits: Limits = Limits()

    def __init__(self, n: int):
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"ConstantSteps(n) takes a whole number of steps, got {n!r}")
        if n < 1:
            raise ValueError(f"ConstantSteps(n) needs at least one step, got {n}")
        self.n = int(n)
        self.limits = Limits()

    @property
    def count(self) -> int:
        """The number of equal steps."""
        return self.n


class StepTo(FixedSteps):
    """Steps from t0 to each time of a grid in turn, and to t1.

    Args:
        grid: times in any order; those outside (t0, t1) are passed over.

    Raises:
        ValueError: when the grid is empty.
    """

    limits: Limits

    def __init__(self, grid: Any):
        if np.ndim(grid) != 1 or np.shape(grid)[0] == 0:
            raise ValueError(
                f"StepTo(grid) takes a one-dimensional sequence of at least one time, got {grid!r}"
            )
        self.limits = Limits(step_at=tuple(grid) if isinstance(grid, (list, tuple)) else grid)


class EqualSteps(FixedSteps):
    """As `ConstantSteps`, with a number of steps that is known only at run time.

    `Backsolve` uses it to keep the forward solve's step size between two save times.
    """

    steps: Any
    limits: Limits = Limits()

    @property
    def count(self) -> Any:
        """The number of equal steps (an integer scalar array)."""
        return self.steps
