"""What lanes write down for a gradient: their attempts, in bounded memory.

All lanes write attempt number k to the same place, so that one write serves all of them and the
way back reads contiguous memory. XLA's buffers have a fixed size and are cleared when they are
made; a log of `max_steps` attempts of every lane would cost more to clear than a solve. The log
therefore has room for one chunk of attempts. When it is full, the loop's state is kept, and a new
chunk overwrites the old one: going backwards, the last chunk is there, and the others are taken
again from the states at which they began.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.lanes import while_any
from ..core.status import Status
from ..core.trees import nbytes, row, set_row, tree_map

# What is cleared at the beginning of every solve; it must stay noise beside it.
_LOG_BYTES = 8 * 1024 * 1024
_FEWEST = 32

REJECTED = -1


class LaneEntry(NamedTuple):
    """One attempt of some lanes."""

    hi: jax.Array
    lo: jax.Array
    h: jax.Array
    """Signed size."""
    kind: jax.Array
    """As in `Entry`, or REJECTED; in time's dtype."""
    first_row: jax.Array
    """As in `Entry`; in time's dtype."""
    kept: Any
    """The state at which it began, and the solver's memory, lanes last."""


class LaneLog(NamedTuple):
    """A chunk of attempts, [attempts * lanes, entries]."""

    times: jax.Array
    states: Any
    verdicts: jax.Array
    """Whether the attempts of this chunk were accepted, [attempts, lanes]."""
    count: jax.Array
    """How many attempts have been written."""

    @property
    def capacity(self) -> int:
        """How many attempts there is room for."""
        return self.verdicts.shape[0]

    def has_room(self) -> jax.Array:
        """Whether another attempt can be written."""
        return self.count < self.capacity

    def write(self, ids: jax.Array | None, carry: Any, kept: Any, taken: Any) -> "LaneLog":
        """Note an attempt of the lanes with these numbers; None: of all, in order."""
        kind = jnp.where(taken.accept, taken.kind, REJECTED)
        entry = [*carry.clock, taken.h, kind, carry.next_row]
        times = jnp.stack([x.astype(self.times.dtype) for x in entry], axis=-1)
        states = tree_map(lambda x: x.reshape(-1, x.shape[-1]).T, kept)
        size = self.verdicts.shape[1]
        if ids is None:
            at = self.count * size
            update = lambda x, v: jax.lax.dynamic_update_slice_in_dim(x, v, at, 0)  # noqa: E731
            verdicts = set_row(self.verdicts, self.count, taken.accept)
        else:
            rows = self.count * size + ids
            update = lambda x, v: x.at[rows].set(v, unique_indices=True)  # noqa: E731
            verdicts = self.verdicts.at[self.count, ids].set(taken.accept)
        return LaneLog(
            update(self.times, times), tree_map(update, self.states, states), verdicts,
            self.count + 1,
        )  # fmt: skip

    def read(self, k: jax.Array, ids: jax.Array | None, shapes: Any) -> LaneEntry:
        """Attempt number k of the lanes with these numbers; None: of all, in order."""
        size = self.verdicts.shape[1]

        def rows(x):
            if ids is None:
                return jax.lax.dynamic_slice_in_dim(x, k * size, size)
            return jnp.take(x, k * size + ids, axis=0, mode="clip")

        states = tree_map(lambda x, like: rows(x).T.reshape(*like.shape, -1), self.states, shapes)
        return LaneEntry(*rows(self.times).T, states)  # pyright: ignore[reportCallIssue]


class Chunks(NamedTuple):
    """The states of the loop at which the chunks began."""

    starts: Any
    """Carry, leaves [chunks, ..., lanes]."""
    verdicts: jax.Array
    """[chunks, attempts, lanes]."""
    count: jax.Array
    """How many chunks were begun."""


class Recorded(NamedTuple):
    """What a recorded solve leaves for its gradient."""

    log: LaneLog
    """Its last chunk."""
    chunks: Chunks | None
    """None when there is one chunk only."""
    num_steps: jax.Array
    """Attempts of each lane."""


def capacity(kept: Any, dtype: Any, size: int, max_steps: int, max_bytes: int | None) -> int:
    """How many attempts to keep at a time.

    Args:
        kept: what is kept of one lane, or its shapes.
        dtype: of time.
        size: how many lanes.
        max_steps: the budget of attempts.
        max_bytes: memory for them; None for a little.
    """
    attempt = size * (nbytes(kept) + 5 * jnp.dtype(dtype).itemsize + 1)
    budget = _LOG_BYTES if max_bytes is None else max_bytes
    fewest = _FEWEST if max_bytes is None else 2
    return min(max(fewest, budget // attempt), max_steps)


def blank_log(kept: Any, dtype: Any, size: int, room: int) -> LaneLog:
    """A log in which nothing is written yet, of what is kept of one lane, or its shapes."""
    return LaneLog(
        jnp.zeros((room * size, 5), dtype),
        tree_map(lambda x: jnp.zeros((room * size, x.size), x.dtype), kept),
        jnp.zeros((room, size), bool),
        jnp.zeros((), jnp.int32),
    )


def record(run: Callable, state: Any, is_alive: Callable, max_steps: int) -> tuple[Any, Recorded]:
    """Run a loop to its end, chunk by chunk.

    Args:
        run: state -> state, until every lane is done or the log is full.
        state: where it starts, with an empty log.
        is_alive: carry -> which lanes have a step to take.
        max_steps: the budget of attempts.
    """
    room = state.log.capacity
    number = -(-max_steps // room)
    if number == 1:
        state = run(state)
        return state, Recorded(state.log, None, state.carry.num_steps)
    blank = Chunks(
        tree_map(lambda x: jnp.zeros((number + 1, *x.shape), x.dtype), state.carry),
        jnp.zeros((number, *state.log.verdicts.shape), bool),
        jnp.zeros((), jnp.int32),
    )

    def body(carried):
        state, chunks = carried
        starts = set_row(chunks.starts, chunks.count, state.carry)
        state = run(rewind(state))
        verdicts = set_row(chunks.verdicts, chunks.count, state.log.verdicts)
        return state, Chunks(starts, verdicts, chunks.count + 1)

    state, chunks = while_any(lambda c: jnp.any(is_alive(c[0].carry)), body, (state, blank))
    return state, Recorded(state.log, chunks, state.carry.num_steps)


def rewind(state: Any) -> Any:
    """The state with room in its log again."""
    return state._replace(log=state.log._replace(count=jnp.zeros((), jnp.int32)))


def walk_chunks_back(
    run: Callable, recorded: Recorded, visit: Callable[[jax.Array, LaneLog, jax.Array, Any], Any],
    carried: Any,
) -> Any:  # fmt: skip
    """Visit the chunks from the last to the first.

    Args:
        run: (state of the loop's carry and a log, verdicts) -> the same, taken again.
        recorded: what the forward loop left.
        visit: (number of the chunk's first attempt, its log, attempts of each lane in it, carried)
            -> carried.
        carried: handed from visit to visit.
    """
    chunks, log = recorded.chunks, recorded.log
    zero = jnp.zeros((), jnp.int32)
    if chunks is None:
        return visit(zero, log, recorded.num_steps, carried)
    last = chunks.count - 1

    def body(state):
        number, log, carried = state
        number = number - 1
        start, after = row(chunks.starts, number), row(chunks.starts, number + 1)
        is_there = number == last
        end = jnp.where(is_there, recorded.num_steps, after.num_steps)
        # The last chunk is still in the log: there, every lane is done before it begins.
        status = jnp.where(is_there, Status.SUCCESS, start.status)
        count = jnp.where(is_there, log.count, zero)
        log = run(
            start._replace(status=status),
            log._replace(count=count),
            row(chunks.verdicts, number),
        )
        carried = visit(number * log.capacity, log, end - start.num_steps, carried)
        return number, log, carried

    return while_any(lambda state: state[0] > 0, body, (last + 1, log, carried))[2]
