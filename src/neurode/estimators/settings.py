"""The settings of `NeuralODE`, checked before anything is computed."""

import math
from collections.abc import Mapping
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
from neurode.estimators.least_squares import MOST_ITERATIONS
from neurode.estimators.scaling import TRANSFORMS
from neurode.nn.vector_fields import ACTIVATIONS

MATCHING = ("gradient_matching", "orthogonality")
METHODS = ("shooting", "multiple_shooting", *MATCHING)
"""Of fitting an ODE's parameters."""


def check_settings(estimator: Any) -> None:
    """Refuse a setting that cannot be, by its name.

    Raises:
        SettingError: which one, its value, and what it may be.
    """
    e = estimator
    check_choice("transform", e.transform, TRANSFORMS)
    check_choice("initial", e.initial, ("learned", "observed"))
    check_choice("noise", e.noise, ("each", "shared"))
    for name in ("standardize", "time_dependent", "progress"):
        check_choice(name, getattr(e, name), (True, False))
    check_solving(e, "nd.Checkpointed()")
    check_adaptive(e.solver)
    for name in ("rtol", "atol"):
        if getattr(e, name) is not None:
            check_number(name, getattr(e, name), least=0)
    if e.rtol == 0 and e.atol == 0:
        raise SettingError("rtol and atol must not both be 0: no step would be accurate enough")
    for name in ("max_steps", "steps", "max_iterations"):
        check_number(name, getattr(e, name), least=1, whole=True)
    if e.max_iterations > MOST_ITERATIONS:
        raise SettingError(
            f"max_iterations must be at most {MOST_ITERATIONS}, got {e.max_iterations!r}"
        )
    for name in ("learning_rate", "weight_decay", "curriculum"):
        check_number(name, getattr(e, name), least=0)
    if not e.learning_rate > 0:
        raise SettingError("learning_rate must be above 0, got 0")
    if e.curriculum > 1:
        raise SettingError(f"curriculum is a share of the steps, at most 1, got {e.curriculum!r}")
    if e.batch_size is not None:
        check_number("batch_size", e.batch_size, least=1, whole=True)
    if e.parameters is None:
        _check_network(e)
    else:
        _check_parameters(e)


def _check_network(e: Any) -> None:
    if e.unobserved or e.method != "shooting":
        raise SettingError(
            "method and unobserved are about an ODE you wrote: name its unknown parameters with "
            "parameters={'a': 0.5, …}"
        )
    if (e.positive is not False and e.positive != ()) or e.bounds:
        raise SettingError(
            "positive and bounds are about the parameters of an ODE, but there are none: name "
            "them with parameters={'a': 0.5, …}"
        )
    if e.field is not None and not isinstance(e.field, eqx.Module):
        hint = "an equinox.Module f(t, y), or None for the default network"
        if callable(e.field):
            hint += "; for an ODE you wrote, name its unknown parameters: parameters={'a': 0.5, …}"
        raise SettingError(f"field must be {hint}; got {e.field!r}")
    if isinstance(e.hidden, (str, int)) or not all(
        isinstance(width, (int, np.integer)) and width > 0 for width in e.hidden
    ):
        raise SettingError(f"hidden must be a tuple of positive widths, got {e.hidden!r}")
    check_choice("activation", e.activation, tuple(ACTIVATIONS))


def _check_parameters(e: Any) -> None:
    if not callable(e.field):
        raise SettingError(
            f"parameters need the ODE they belong to: NeuralODE(ode, parameters=…) with "
            f"ode(t, y, p); field is {e.field!r}"
        )
    is_named = isinstance(e.parameters, (list, tuple))
    if not (isinstance(e.parameters, Mapping) or is_named) or not e.parameters:
        raise SettingError(
            f"parameters must be a dict of start values, such as {{'a': 0.5}}, or a list of names, "
            f"got {e.parameters!r}"
        )
    _check_method(e)
    given = dict.fromkeys(e.parameters) if is_named else e.parameters
    for name, value in given.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise SettingError(f"a parameter's name must be a Python name, got {name!r}")
        if value is None:
            continue
        if np.ndim(value) != 0:
            raise SettingError(
                f"parameter {name!r} must start at a single number, got {value!r}; give each "
                "number a name of its own"
            )
        try:
            is_finite = math.isfinite(value)
        except TypeError:
            is_finite = False
        if not is_finite or isinstance(value, (bool, str)):
            raise SettingError(f"parameter {name!r} must start at a finite number, got {value!r}")
    for name, (lower, upper) in read_bounds(e).items():
        begin = given[name]
        if begin is None:
            continue
        start = float(begin)
        if not lower < start < upper:
            where = f"between {lower:g} and {upper:g}" if upper < math.inf else f"above {lower:g}"
            where = f"below {upper:g}" if lower == -math.inf else where
            raise SettingError(
                f"parameter {name!r} starts at {start:g}, but must lie {where} (a start exactly "
                "on a bound cannot move)"
            )


def _check_method(e: Any) -> None:
    check_choice("method", e.method, METHODS)
    check_number("starts", e.starts, least=1, whole=True)
    if e.segments is not None:
        check_number("segments", e.segments, least=1, whole=True)
    hidden = {} if e.unobserved is None else e.unobserved
    if not isinstance(hidden, Mapping):
        raise SettingError(f"unobserved must be a dict {{name: guess}}, got {hidden!r}")
    for name, guess in hidden.items():
        if not isinstance(guess, (int, float, np.number)) or not math.isfinite(guess):
            raise SettingError(f"unobserved {name!r} needs a number as a guess, got {guess!r}")
    has_start = isinstance(e.parameters, Mapping) and None not in e.parameters.values()
    if hidden and e.method in MATCHING:
        raise SettingError(
            f"method={e.method!r} needs every component of the state, but "
            f"{', '.join(map(repr, hidden))} is not observed; use method='shooting'"
        )
    if hidden and not has_start:
        raise SettingError(
            f"{', '.join(map(repr, hidden))} is not observed, so gradients cannot be matched for "
            "start values: give one for each parameter"
        )


def read_bounds(estimator: Any) -> dict[str, tuple[float, float]]:
    """The bounds of the parameters, positivity included, with infinity for none.

    Raises:
        SettingError: a name is unknown or bounded twice, or its bounds are no interval.
    """
    names = list(estimator.parameters)
    positive = estimator.positive
    if isinstance(positive, (bool, np.bool_)):
        positive = names if positive else []
    if isinstance(positive, str):
        raise SettingError(f"positive must be a list of names: [{positive!r}], or True for all")
    bounds = {} if estimator.bounds is None else estimator.bounds
    if not isinstance(bounds, Mapping):
        raise SettingError(f"bounds must be a dict {{name: (lower, upper)}}, got {bounds!r}")
    for setting, given in (("positive", positive), ("bounds", bounds)):
        for name in given:
            if name not in names:
                raise SettingError(
                    f"{setting} names {name!r}, which is not a parameter; there are "
                    f"{', '.join(names)}"
                )
    read = {name: (0.0, math.inf) for name in positive}
    for name, pair in bounds.items():
        if name in read and estimator.positive is not True:
            raise SettingError(
                f"{name!r} is in positive and in bounds; bounds={{{name!r}: (0, None)}} says both"
            )
        read[name] = _read_interval(name, pair)
    return read


def _read_interval(name: str, pair: Any) -> tuple[float, float]:
    try:
        lower, upper = pair
        lower = -math.inf if lower is None else float(lower)
        upper = math.inf if upper is None else float(upper)
    except (TypeError, ValueError):
        raise SettingError(f"bounds of {name!r} must be (lower, upper), got {pair!r}") from None
    if not lower < upper:
        raise SettingError(f"bounds of {name!r} must be lower < upper, got {pair!r}")
    return lower, upper
