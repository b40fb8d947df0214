"""The states at which accepted steps began, in bounded memory.

XLA's buffers have a fixed size, and the number of steps is not known beforehand. The tape has C
slots; when they are full every second state is dropped and the stride doubles (so that states
0, s, 2s, ... are kept). Going backwards, the states between are computed again from the log of
times and step sizes, which holds every step.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..core.lanes import while_any
from ..core.trees import nbytes, row, set_row, tree_map
from ..core.types import State

# Clearing the tape must stay noise beside a solve.
_SMALL_TAPE_BYTES = 64 * 1024


class Tape(NamedTuple):
    """States of steps 0, stride, 2 stride, ...; one slot more than it has, to write misses to."""

    states: State
    stride: jax.Array


def tape_slots(y: State, max_steps: int, max_bytes: int | None = None) -> int:
    """How many slots to keep: all steps where that is little memory, else about a square root.

    With the square root, slots and the buffer of states computed again have the same size, and
    their sum is least.
    """
    state_bytes = max(1, nbytes(y))
    budget = _SMALL_TAPE_BYTES if max_bytes is None else max_bytes
    root = 1 << math.ceil(math.log2(max(1.0, max_steps)) / 2)
    slots = budget // state_bytes if max_bytes is not None else max(budget // state_bytes, root, 32)
    slots = min(max(2, slots), max_steps)
    return slots if slots == max_steps else slots - slots % 2


def longest_stride(max_steps: int, slots: int) -> int:
    """The stride when every step of the budget was taken."""
    return 1 << math.ceil(math.log2(max(1.0, max_steps / slots)))


def blank_tape(y: State, slots: int) -> Tape:
    """An empty tape for states like y."""
    states = tree_map(lambda x: jnp.zeros((slots + 1, *x.shape), x.dtype), y)
    return Tape(states, jnp.ones((), jnp.int32))


def write(tape: Tape, slots: int, step: jax.Array, y: State, is_alive: jax.Array) -> Tape:
    """Note the state at which a step begins (again, until the step is accepted)."""
    is_kept = is_alive & (step % tape.stride == 0)
    slot = jnp.where(is_kept, step // tape.stride, slots)
    return tape._replace(states=set_row(tape.states, slot, y))


def has_room(tape: Tape, slots: int, step: jax.Array) -> jax.Array:
    """Whether step number `step` can still be written."""
    return step < slots * tape.stride


def make_room(tape: Tape, slots: int, step: jax.Array) -> Tape:
    """Drop every second state when the tape is full; else leave it as it is."""
    is_full = ~has_room(tape, slots, step)
    count = jnp.where(is_full, slots // 2, 0)

    def move(carry):
        i, states = carry
        to = jnp.where(i < count, i, slots)
        return i + 1, set_row(states, to, row(states, 2 * i))

    _, states = while_any(
        lambda carry: carry[0] < count, move, (jnp.zeros((), jnp.int32), tape.states)
    )
    return Tape(states, jnp.where(is_full, 2 * tape.stride, tape.stride))
