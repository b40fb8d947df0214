"""The settings of flows, checked before anything is computed."""

from typing import Any

import equinox as eqx
import numpy as np

from neurode.estimators.estimator import (
    SettingError,
    check_adaptive,
    check_choice,
    check_number,
    check_solving,
)
from neurode.nn.vector_fields import ACTIVATIONS

FIELDS = ("planar", "concatsquash", "mlp")
BASES = ("normal", "student")
TRACES = ("exact", "rademacher", "gaussian")


def check_flow_settings(estimator: Any) -> None:
    """Refuse a setting that cannot be, by its name.

    Raises:
        SettingError: which one, its value, and what it may be.
    """
    e = estimator
    if isinstance(e.field, str):
        check_choice("field", e.field, FIELDS)
    elif not isinstance(e.field, eqx.Module):
        raise SettingError(
            f"field must be one of {', '.join(map(repr, FIELDS))} or an equinox.Module f(t, z), "
            f"got {e.field!r}"
        )
    read_hidden(e.hidden, e.field)
    check_choice("activation", e.activation, tuple(ACTIVATIONS))
    check_choice("progress", e.progress, (True, False))
    check_solving(e, "nd.Backsolve()")
    check_adaptive(e.solver)
    for name in ("rtol", "atol", "weight_decay"):
        check_number(name, getattr(e, name), least=0)
    if e.rtol == 0 and e.atol == 0:
        raise SettingError("rtol and atol must not both be 0: no step would be accurate enough")
    check_number("learning_rate", e.learning_rate, least=0)
    if not e.learning_rate > 0:
        raise SettingError("learning_rate must be above 0, got 0")
    for name in ("max_steps", "steps"):
        check_number(name, getattr(e, name), least=1, whole=True)
    if hasattr(e, "base"):
        check_choice("base", e.base, BASES)
        check_choice("trace", e.trace, ("auto", *TRACES))
        check_choice("standardize", e.standardize, (True, False))
        check_number("batch_size", e.batch_size, least=1, whole=True)
        if e.smoothing is not None:
            check_number("smoothing", e.smoothing, least=0)


def read_hidden(hidden: Any, field: Any) -> tuple[int, ...]:
    """The widths of the network, by default 64 units or two layers of 64.

    Raises:
        SettingError: they are no positive whole numbers, or more than one for a planar field.
    """
    if hidden is None:
        return (64,) if field == "planar" else (64, 64)
    widths = (hidden,) if isinstance(hidden, (int, np.integer)) else tuple(hidden)
    if not widths or not all(
        isinstance(w, (int, np.integer)) and not isinstance(w, bool) and w > 0 for w in widths
    ):
        raise SettingError(f"hidden must be positive whole numbers, got {hidden!r}")
    if field == "planar" and len(widths) > 1:
        raise SettingError(
            f"a planar field has one layer: hidden must be one width such as 64, got {hidden!r}"
        )
    return tuple(int(w) for w in widths)
