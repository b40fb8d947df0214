"""Arrays filled up to a few sizes, so that other numbers of rows find a compiled program."""

from typing import Any

import numpy as np


def bucket(count: int, least: int = 1) -> int:
    """The next power of two, at least `least`."""
    return max(least, 1 << max(count - 1, 0).bit_length())


def pad_rows(x: Any, count: int) -> np.ndarray:
    """The first axis filled up to `count` with copies of the first row."""
    x = np.asarray(x)
    return np.concatenate([x, np.repeat(x[:1], count - len(x), axis=0)])
