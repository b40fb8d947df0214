"""Dates as numbers and back: days since 1970 in float64, good to a microsecond for centuries."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from neurode.data.errors import DataError, quote

_EPOCH = np.datetime64("1970-01-01T00:00:00", "us")
_DAY = np.timedelta64(86_400_000_000, "us")


@dataclass(frozen=True)
class Calendar:
    """What a column of dates was, so that times can be given back as it had them.

    Attributes:
        zone: name of the time zone ("Europe/Berlin", "UTC", "UTC+02:00"), or None for dates
            without one.
    """

    zone: str | None = None

    def parse(self, times: Any, where: str = "times") -> np.ndarray:
        """Days since 1970 (in UTC if there is a zone) of dates in any usual form.

        Args:
            times: dates as text, `datetime`, `numpy.datetime64` or pandas' own.
            where: what they are, for messages.

        Raises:
            DataError: they are no dates, or have a time zone where these have none, or vice versa.
        """
        numbers, found = read_dates(times, where)
        if (found.zone is None) != (self.zone is None):
            has, lacks = ("no time zone", f"one ({self.zone})")
            if self.zone is None:
                has, lacks = f"a time zone ({found.zone})", "none"
            raise DataError(
                f"{where}: the dates have {has}, those that were learned from have {lacks}; "
                "write both in the same way"
            )
        return numbers

    def format(self, numbers: Any) -> np.ndarray:
        """Dates of days since 1970: datetime64 without a zone, `datetime` objects with one."""
        micros = np.round(np.asarray(numbers, np.float64) * 86_400e6).astype(np.int64)
        stamps = _EPOCH + micros.astype("timedelta64[us]")
        if self.zone is None:
            return stamps
        zone = _find_zone(self.zone)
        local = [stamp.item().replace(tzinfo=UTC).astimezone(zone) for stamp in stamps.ravel()]
        result = np.empty(stamps.size, object)
        result[:] = local
        return result.reshape(stamps.shape)


def read_dates(times: Any, where: str) -> tuple[np.ndarray, Calendar]:
    """Days since 1970 of dates in any usual form, and what they were.

    Args:
        times: dates as ISO text, `datetime`, `numpy.datetime64`, or a pandas column or index.
        where: what they are, for messages.

    Raises:
        DataError: one of them is no date, or some have a time zone and others none.
    """
    zone = getattr(getattr(times, "dtype", None), "tz", None)
    if zone is not None:  # pandas, all in one zone
        from pandas import DatetimeIndex

        stamps = DatetimeIndex(times).tz_convert(None).to_numpy().astype("datetime64[us]")
        return _count_days(stamps), Calendar(str(zone))
    array = np.asarray(times)
    if array.dtype.kind == "M":
        return _count_days(array.astype("datetime64[us]")), Calendar()
    stamps, zones = np.empty(array.size, "datetime64[us]"), {}
    for i, value in enumerate(array.ravel()):
        date = _read_date(value, f"{where}, row {i}")
        zones.setdefault(date is not None and date.tzinfo is not None, i)
        if date is None:
            stamps[i] = np.datetime64("NaT")
            continue
        if date.tzinfo is not None:
            name = getattr(date.tzinfo, "key", None) or date.tzname()
            zones.setdefault(name, i)
            date = date.astimezone(UTC).replace(tzinfo=None)
        stamps[i] = np.datetime64(date)
    if True in zones and False in zones:
        raise DataError(
            f"{where}: row {zones[True]} has a time zone and row {zones[False]} has none; write "
            "all dates in the same way"
        )
    names = [name for name in zones if isinstance(name, str)]
    zone = None if True not in zones else names[0] if len(names) == 1 else "UTC"
    return _count_days(stamps).reshape(array.shape), Calendar(zone)


def is_dates(times: Any) -> bool:
    """Whether these are dates, going by their type, or for text by the look of the first one."""
    dtype = getattr(times, "dtype", None)
    if getattr(dtype, "tz", None) is not None or getattr(dtype, "kind", "") == "M":
        return True
    first = next((x for x in np.ravel(np.asarray(times, object)) if str(x).strip()), None)
    if isinstance(first, (datetime, np.datetime64)):
        return True
    return isinstance(first, str) and _try_date(first.strip()) is not None


def _count_days(stamps: np.ndarray) -> np.ndarray:
    return np.where(np.isnat(stamps), np.nan, (stamps - _EPOCH) / _DAY)


def _read_date(value: Any, where: str) -> datetime | None:
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else value.astype("datetime64[us]").item()
    if isinstance(value, datetime):
        return None if value != value else value  # pandas' NaT differs from itself
    text = str(value).strip()
    if text.lower() in {"", "nat", "nan", "none", "<na>"}:
        return None
    date = _try_date(text)
    if date is None:
        raise DataError(
            f"{where}: {quote(text)} is not a date; write it as 2024-03-01 or 2024-03-01T12:30"
        )
    return date


def _try_date(text: str) -> datetime | None:
    if len(text) < 8 or "-" not in text[1:]:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _find_zone(name: str) -> Any:
    if name.startswith("UTC") and len(name) > 3:
        sign = -1 if name[3] == "-" else 1
        hours, _, minutes = name[4:].partition(":")
        from datetime import timezone

        return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes or 0)))
    return UTC if name == "UTC" else ZoneInfo(name)
