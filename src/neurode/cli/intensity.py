"""An intensity as CSV: time, rate, and the two ends of its 95% band."""

import csv
import io
from typing import TYPE_CHECKING, Any

from neurode.cli import options

if TYPE_CHECKING:
    from neurode.estimators import PoissonProcess


def format_intensity(model: "PoissonProcess", times: Any) -> str:
    """Return the fitted intensity at some times.

    Args:
        model: the fitted process.
        times: [T], numbers or dates as the model's.
    """
    found = model.intensity(times)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["time", "rate", "low", "high"])
    for t, *values in zip(times, *found, strict=True):
        label = t if isinstance(t, str) else str(t) if model.calendar_ else f"{t:.10g}"
        writer.writerow([label, *(f"{x:.6g}" for x in values)])
    return stream.getvalue()


def parse_intensity_times(model: "PoissonProcess", text: str) -> Any:
    """Read --times: numbers and ranges, or dates with commas where the model has dates."""
    import numpy as np

    if model.calendar_ is not None:
        return [part.strip() for part in text.split(",")]
    return np.array(options.parse_times(text))
