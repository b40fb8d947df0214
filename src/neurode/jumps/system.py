"""What moves a state with jumps: a field, events with their jumps, and a schedule."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .. import arguments
from ..core.closures import Hoisted, hoist
from ..core.events import Event, Events
from ..core.status import SolveError
from ..core.trees import tree_map


class Schedule(eqx.Module):
    """Jumps at known times: doses, switches, resets.

    Args:
        times: when, in increasing order. A time at t0 counts, times outside [t0, t1) do not.
            Gradients flow to them.
        jump: `jump(k, t, y, *args)`, the state after jump number k (a position in times).

    Raises:
        TypeError: when jump is not a function.
        ValueError: when the times are not sorted, or not finite.
    """

    times: Any
    jump: Callable

    def __check_init__(self):
        if not callable(self.jump):
            raise TypeError(
                f"Schedule(jump=...) takes a function jump(k, t, y, *args), got {self.jump!r}"
            )
        if np.ndim(self.times) != 1 or np.shape(self.times)[0] == 0:
            raise ValueError(f"Schedule(times) takes at least one time, got {self.times!r}")
        if any(isinstance(t, Tracer) for t in jax.tree_util.tree_leaves(self.times)):
            return
        times = np.asarray(self.times)
        if not np.isfinite(times).all():
            raise ValueError(f"Schedule(times) holds NaN or infinite times: {times}")
        if (np.diff(times) < 0).any():
            at = int(np.argmax(np.diff(times) < 0))
            raise ValueError(
                f"Schedule(times) must be sorted, but times[{at}]={times[at]:.6g} is followed by "
                f"times[{at + 1}]={times[at + 1]:.6g}"
            )


class System(eqx.Module):
    """What moves the state: a field, events with their jumps, and a schedule."""

    field: Any
    events: Events | None
    jumps: list[Hoisted]
    """One per event, and the schedule's. Each is (k, t, y) -> y."""
    times: jax.Array | None
    directions: tuple[int, ...] = eqx.field(static=True)

    def pieces_events(self, offsets: jax.Array) -> tuple[Event, ...] | None:
        """The events, each with its own zero."""
        events = self.events
        if events is None:
            return None

        def event(i: int, direction: int) -> Event:
            return Event(lambda t, y: events.function(t, y)[i] - offsets[i], direction)

        return tuple(event(i, direction) for i, direction in enumerate(self.directions))


def read_system(f, y0, ts, args, event, jump, schedule) -> System:
    """The functions, checked, with everything that they hold as data."""
    time = jax.ShapeDtypeStruct((), ts.dtype)
    state = tree_map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), y0)
    if (event is None) != (jump is None):
        raise ValueError("event= and jump= go together: what jumps, and when")
    if event is None and schedule is None:
        raise ValueError("there is nothing to jump at: give event= and jump=, or schedule=")
    if schedule is not None and not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be nd.Schedule(times, jump), got {schedule!r}")
    declared = () if event is None else arguments.read_events(event)
    jumps = jump if type(jump) in (tuple, list) else (jump,) * len(declared)
    if len(jumps) != len(declared):
        raise ValueError(
            f"jump must be one function, or one for each of the {len(declared)} events, "
            f"got {len(jumps)}"
        )
    hoisted = [_hoist_jump(to, "jump", time, state, args) for to in jumps]
    if schedule is not None:
        hoisted.append(_hoist_jump(schedule.jump, "the schedule's jump", time, state, args))
    return System(
        arguments.hoist_field(f, time, state, args),
        arguments.hoist_events(declared, time, state, args) if declared else None,
        hoisted,
        None if schedule is None else jnp.asarray(schedule.times, ts.dtype),
        tuple(x.direction for x in declared),
    )


def _hoist_jump(jump: Any, name: str, time: Any, state: Any, args: tuple) -> Hoisted:
    """The jump as (k, t, y) -> y, with all that it closes over as data; its result checked."""
    if not callable(jump):
        raise TypeError(f"{name} must be a function of (t, y, *args), got {jump!r}")
    is_numbered = name != "jump"

    def checked(k, t, y, jump, args):
        try:
            after = jump(k, t, y, *args) if is_numbered else jump(t, y, *args)
        except Exception as error:
            raise SolveError(f"{name} raised {type(error).__name__}: {error}") from error
        shapes = [tree_map(jnp.shape, x) for x in (y, after)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{name} must return the state after it, with the shapes of y, {shapes[0]}; "
                f"got {shapes[1]}"
            )
        return tree_map(lambda new, old: jnp.asarray(new).astype(old.dtype), after, y)

    return hoist(checked, (jax.ShapeDtypeStruct((), jnp.int32), time, state), (jump, args))
