"""The event functions that a caller handed over, checked and turned into data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..core.closures import hoist
from ..core.events import Event, Events
from ..core.status import SolveError
from .given import as_numbers


def read_events(event: Any) -> tuple[Event, ...]:
    """One event or several, as a tuple; a plain function is an event in both directions."""
    events = event if type(event) in (tuple, list) else (event,)
    if not events:
        raise ValueError("event is an empty tuple: name an nd.Event(fn), or leave event out")
    for x in events:
        if not isinstance(x, Event) and not callable(x):
            raise TypeError(f"event must be nd.Event(fn), or a tuple of them, got {x!r}")
    return tuple(x if isinstance(x, Event) else Event(x) for x in events)


def hoist_events(event: Any, time: Any, state: Any, args: tuple) -> Events:
    """The event functions as one, with their arguments and all that they close over as data."""
    events = read_events(event)

    def values(t, y, functions, args):
        found = [_event_value(i, fn, t, y, args) for i, fn in enumerate(functions)]
        return jnp.stack(found).astype(t.dtype)

    functions = [x.fn for x in events]
    directions = jnp.array([x.direction for x in events], jnp.int32)
    return Events(hoist(values, (time, state), (functions, args)), directions)


def _event_value(i: int, fn: Callable, t: Any, y: Any, args: tuple) -> jax.Array:
    try:
        value = fn(t, y, *args)
    except Exception as error:
        raise SolveError(
            f"event {i} raised {type(error).__name__} when called as fn(t, y, *args): {error}"
        ) from error
    value = as_numbers(f"what event {i} returns", value)
    if value.shape != () or jnp.issubdtype(value.dtype, jnp.complexfloating):
        raise ValueError(
            f"event {i} must return one real number, got {value.dtype}{list(value.shape)}; "
            f"for several events write event=(nd.Event(first), nd.Event(second))"
        )
    if value.dtype == bool:
        raise TypeError(
            f"event {i} returns a truth value, which has no root to find: return a real number "
            f"that changes its sign, y - 1.0 instead of y > 1.0"
        )
    return value
