"""What the user is told when data cannot be used: one line, with the place and the remedy."""

from collections.abc import Iterable
from typing import Any


class DataError(ValueError):
    """Data that cannot be used as given; the message is one line that says where, what and how."""


def quote(value: Any, limit: int = 40) -> str:
    """Return `value` as it stands in the data, in quotes, on one line and not too long.

    Args:
        value: a cell, a name or a number.
        limit: longest text shown, in characters.
    """
    text = repr(value.item() if hasattr(value, "item") else value)
    return text if len(text) <= limit else f"{text[: limit - 2]}…{text[-1]}"


def list_names(names: Iterable[Any], limit: int = 12) -> str:
    """Return names as a short quoted list for a message.

    Args:
        names: an iterable of names.
        limit: most names shown; the rest are counted.
    """
    quoted = [quote(str(name)) for name in names]
    if len(quoted) > limit:
        return f"{', '.join(quoted[:limit])} and {len(quoted) - limit} more"
    return ", ".join(quoted) or "none"


def require_pandas(purpose: str):
    """Import pandas, or say how to get it.

    Args:
        purpose: what it is needed for, e.g. `"reading Parquet"`.

    Returns:
        The pandas module.

    Raises:
        ImportError: pandas is missing.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError(f'{purpose} needs pandas: pip install "neurode[data]"') from None
    return pandas
