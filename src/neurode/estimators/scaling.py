"""Between the user's units and those of a network: standardised values, time of order one."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

TRANSFORMS = ("identity", "log")


@dataclass(frozen=True, eq=False)
class Scaling:
    """z = (T(y) - centre) / scale at time s = (t - origin) / span, in float64.

    Attributes:
        transform: T, "identity" or "log".
        centre: mean of each variable's T(y), [d].
        scale: standard deviation of each variable's T(y), [d].
        origin: the time at which s is 0.
        span: the time in which s grows by 1.
    """

    transform: str
    centre: np.ndarray
    scale: np.ndarray
    origin: float = 0.0
    span: float = 1.0

    @classmethod
    def identity(cls, d: int) -> "Scaling":
        """No scaling at all."""
        return cls("identity", np.zeros(d), np.ones(d))

    @classmethod
    def standardise(cls, ts: np.ndarray, ys: np.ndarray, transform: str) -> "Scaling":
        """Unit variance for every variable, and a unit of time in which they change by about one.

        Args:
            ts: times [n, T], the last one repeated as padding.
            ys: values [n, T, d], NaN where not observed.
            transform: "identity" or "log".
        """
        values = apply(transform, ys)
        centre, scale = np.nanmean(values, axis=(0, 1)), spread(values)
        rate = typical_rate(ts, (values - centre) / scale)
        longest = float(np.max(ts[:, -1] - ts[:, 0]))
        span = float(np.clip(1 / rate if rate > 0 else longest, longest / 100, longest))
        return cls(transform, centre, scale, float(np.min(ts)), span)

    def times(self, ts: np.ndarray) -> np.ndarray:
        """t -> s."""
        return (ts - self.origin) / self.span

    def states(self, ys: np.ndarray) -> np.ndarray:
        """y -> z."""
        return (apply(self.transform, ys) - self.centre) / self.scale

    def values(self, zs: np.ndarray) -> np.ndarray:
        """z -> y; overflow gives infinity."""
        return revert(self.transform, self.centre + self.scale * zs)

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it, without loss."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Scaling":
        """The inverse of `to_json`."""
        if entry["transform"] not in TRANSFORMS:
            raise ValueError(f"unknown transform {entry['transform']!r}")
        centre, scale = (np.array(entry[name], float) for name in ("centre", "scale"))
        return cls(entry["transform"], centre, scale, float(entry["origin"]), float(entry["span"]))


def apply(transform: str, values: np.ndarray) -> np.ndarray:
    """T(y)."""
    return np.log(values) if transform == "log" else values


def revert(transform: str, values: np.ndarray) -> np.ndarray:
    """The inverse of T."""
    if transform != "log":
        return values
    with np.errstate(over="ignore"):
        return np.exp(values)


def spread(values: np.ndarray) -> np.ndarray:
    """Each variable's standard deviation [d], 1 where it is constant; NaN is missing."""
    deviations = np.nanstd(values, axis=(0, 1))
    sizes = np.nanmax(np.abs(values), axis=(0, 1))
    return np.where(deviations > 1e-12 * sizes, deviations, np.where(sizes > 0, sizes, 1.0))


def magnitudes(values: np.ndarray) -> np.ndarray:
    """Each variable's root mean square [d], 1 where it is zero; NaN is missing."""
    sizes = np.sqrt(np.nanmean(values**2, axis=(0, 1)))
    return np.where(sizes > 0, sizes, 1.0)


def typical_rate(ts: np.ndarray, zs: np.ndarray) -> float:
    """The root mean square rate of change between consecutive observations."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.diff(zs, axis=1) / np.diff(ts, axis=1)[..., None]
    rates = rates[np.isfinite(rates)]
    return float(np.sqrt(np.mean(rates**2))) if rates.size else 0.0
