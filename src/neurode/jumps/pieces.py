"""The solves between jumps, one after the other."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.events import total_derivative
from ..core.solution import Stats
from ..core.status import RUNNING, Status
from ..core.trees import per_row, select, tree_map
from ..core.types import Rows, Scalar, State, Times
from ..ivp import solve
from .system import System


@dataclass(frozen=True)
class Settings:
    """What is known when a solve is compiled."""

    max_jumps: int
    options: tuple


class Carry(NamedTuple):
    """What is carried from piece to piece."""

    t: Scalar
    y: State
    next_time: jax.Array
    """The number of the next scheduled jump."""
    offsets: jax.Array
    """What rounding left of each event function's zero when it last fired."""
    was_event: jax.Array
    status: jax.Array
    rows: Rows
    is_saved: jax.Array
    stats: Stats


class Jump(NamedTuple):
    """What ended a piece."""

    happened: jax.Array
    t: Scalar
    index: jax.Array
    before: State
    after: State


class Pieces:
    """The solves between jumps. Holds nothing that changes."""

    def __init__(self, settings: Settings, system: System, y0: State, ts: Times, options: dict):
        self.settings, self.system, self.y0, self.ts = settings, system, y0, ts
        self.options = dict(settings.options) | options

    def start(self) -> Carry:
        """Before the first piece."""
        ts, times = self.ts, self.system.times
        is_valid = jnp.all(jnp.diff(ts) >= 0)
        next_time = jnp.zeros((), jnp.int32)
        if times is not None:
            is_valid = is_valid & jnp.all(jnp.diff(times) >= 0)
            next_time = jnp.sum(times < ts[0]).astype(jnp.int32)
        n = ts.shape[0]
        return Carry(
            t=ts[0],
            y=self.y0,
            next_time=next_time,
            offsets=jnp.zeros(len(self.system.directions), ts.dtype),
            was_event=jnp.asarray(False),
            status=jnp.where(is_valid, RUNNING, Status.INVALID_INPUT).astype(jnp.int32),
            rows=tree_map(lambda x: jnp.zeros((n, *x.shape), x.dtype), self.y0),
            is_saved=jnp.zeros(n, bool),
            stats=Stats(*[jnp.zeros((), jnp.int32)] * 5),
        )

    def piece(self, carry: Carry, number: jax.Array) -> tuple[Carry, Jump]:
        """From one jump to the next. Once the solve has ended, pieces have no length."""
        ts, t = self.ts, carry.t
        is_active = carry.status == RUNNING
        stop, is_scheduled = self.next_stop(carry)
        stop = jnp.where(is_active, stop, t)
        inside = jnp.where(ts < t, t, jnp.where(ts > stop, stop, ts))
        inside = inside.at[0].set(t).at[-1].set(stop)
        sol = solve(
            self.system.field, carry.y, inside, event=self.system.pieces_events(carry.offsets),
            **self.options,
        )  # fmt: skip
        fired = is_active & (sol.status == Status.EVENT)
        is_done = fired | (sol.status == Status.SUCCESS)
        end, y, index = stop, tree_map(lambda x: x[-1], sol.ys), len(self.system.directions)
        if sol.event_y is not None:
            end = jnp.where(fired, sol.event_time, stop)
            y = select(fired, sol.event_y, y)
            index = jnp.where(fired, sol.event_index, index)
        jumps = is_active & (fired | (is_done & is_scheduled))
        after = self.jump(index, carry.next_time, end, y, jumps)
        offsets, is_stuck = self.land(carry, fired, index, end, y, after)
        status = jnp.where(jumps, RUNNING, jnp.where(is_done, Status.SUCCESS, sol.status))
        status = jnp.where(jumps & is_stuck, Status.ZENO, status)
        is_spent = jumps & (number == self.settings.max_jumps)
        status = jnp.where(is_spent & ~is_stuck, Status.MAX_JUMPS, status)
        is_here = is_active & ~carry.is_saved & ((ts <= end) | ~is_done)
        new = Carry(
            t=jnp.where(jumps, end, ts[-1]),
            y=select(jumps, after, select(is_active & is_done, y, carry.y)),
            next_time=carry.next_time + (jumps & ~fired),
            offsets=offsets,
            was_event=fired,
            status=jnp.where(is_active, status, carry.status).astype(jnp.int32),
            rows=tree_map(
                lambda new, old: jnp.where(per_row(is_here, old), new, old), sol.ys, carry.rows
            ),
            is_saved=carry.is_saved | is_here,
            stats=tree_map(lambda total, x: total + is_active * x, carry.stats, sol.stats),
        )
        return new, Jump(jumps & ~is_stuck & ~is_spent, end, jnp.asarray(index), y, after)

    def next_stop(self, carry: Carry) -> tuple[Scalar, jax.Array]:
        """Where the piece ends at the latest, and whether there is a scheduled jump."""
        t1, times = self.ts[-1], self.system.times
        if times is None:
            return t1, jnp.asarray(False)
        count = times.shape[0]
        time = times[jnp.minimum(carry.next_time, count - 1)]
        is_scheduled = (carry.next_time < count) & (time < t1)
        return jnp.where(is_scheduled, time, t1), is_scheduled

    def jump(self, index: Any, k: jax.Array, t: Scalar, y: State, jumps: jax.Array) -> State:
        """The state after a jump."""
        # Where there is none, something harmless jumps, and nothing comes of it.
        t, y = select(jumps, (t, y), jax.lax.stop_gradient((self.ts[0], self.y0)))
        # `switch` wants functions that can be hashed.
        branches = [lambda *now, to=to: to(*now) for to in self.system.jumps]
        return jax.lax.switch(index, branches, k, t, y)

    def land(
        self, carry: Carry, fired: jax.Array, index: Any, t: Scalar, y: State, after: State
    ) -> tuple[jax.Array, jax.Array]:
        """The events' new zeros, and whether the jumps have come to a halt.

        They have where no time passed since the last one, or where a jump leaves the state at rest
        on its event.
        """
        events = self.system.events
        if events is None:
            return carry.offsets, jnp.asarray(False)
        here = select(fired, (t, y, after), (carry.t, carry.y, carry.y))
        (t, y, after), start = jax.lax.stop_gradient((here, carry.t))
        field, function = jax.lax.stop_gradient((self.system.field, events.function))
        which = fired & (jnp.arange(len(self.system.directions)) == index)
        offsets = jnp.where(which, function(t, y), carry.offsets)
        values, slopes = total_derivative(function, field, t, after)
        at_rest = jnp.any(which & (values == offsets) & (slopes == 0))
        no_time = carry.was_event & (t - start <= 4 * jnp.finfo(t.dtype).eps * jnp.abs(t))
        return offsets, fired & (at_rest | no_time)
