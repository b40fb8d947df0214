"""What a density is conditioned on, standardised."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurode.data import DataError
from neurode.estimators.tables import read_context


@dataclass(frozen=True, eq=False)
class Context:
    """Zero mean and unit variance for every column that a density is conditioned on.

    Attributes:
        centre: mean of each, [c]; none of them, [0], for a density that depends on nothing.
        scale: standard deviation of each, 1 for a constant one, [c].
    """

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, context: Any, n: int) -> "Context":
        """Choose the scaling.

        Args:
            context: [n, c], or None.
            n: rows of the table.

        Raises:
            DataError: it is no table of n rows of numbers.
        """
        if context is None:
            return cls(np.zeros(0), np.zeros(0))
        values = read_context(context, n)
        spread = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def apply(self, context: Any, n: int) -> np.ndarray | None:
        """The scaled context [n, c], or None where there is none.

        Args:
            context: [n, c], or [c] for all rows, or None.
            n: rows of the table.

        Raises:
            DataError: it is missing, or of the wrong size.
        """
        width = len(self.centre)
        if context is None and not width:
            return None
        if context is None:
            raise DataError(f"the density is conditioned on {width} columns: pass context=…")
        values = read_context(context, n)
        if values.shape[1] != width:
            takes = f"takes {width}" if width else "was fitted without any"
            raise DataError(f"context has {values.shape[1]} columns, but the density {takes}")
        return (values - self.centre) / self.scale
