"""torchdiffeq's training examples, once for neurode and once for torchdiffeq.

Each module has `weights()` (initial values by name, NumPy), `batches(count)`, and
`in_neurode(weights, batches)` and `in_torchdiffeq(weights, batches)`: an `Iteration`, whose every
call is one whole training iteration on the next batch. (`odenet_mnist`'s are told the gradient.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np


@dataclass
class Iteration:
    """Training, one iteration a call.

    Attributes:
        step: trains on a batch; returns its loss and the evaluations of f in the forward solve.
        batches: taken in turn, again and again.
    """

    step: Callable[[Any], tuple[float, float]]
    batches: Sequence[Any]
    _turn: Any = field(init=False)

    def __post_init__(self):
        self._turn = cycle(self.batches)

    def __call__(self) -> tuple[float, float]:
        return self.step(next(self._turn))


def linear(key: np.random.Generator, into: int, out: int) -> dict[str, np.ndarray]:
    """Weights [into, out] and bias of a linear layer, drawn as PyTorch does."""
    bound = into**-0.5
    return {
        "w": key.uniform(-bound, bound, (into, out)).astype(np.float32),
        "b": key.uniform(-bound, bound, out).astype(np.float32),
    }
