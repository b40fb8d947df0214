"""Accepted steps again: one at a time, differentiably, or walked backwards along a tape."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.clock import Clock, until
from ..core.lanes import freeze, while_any
from ..core.trees import row, set_row, tree_map
from ..core.types import Scalar, State
from ..solvers.interpolants import evaluate
from .problem import ANCHORED, LAST, Entry, Problem
from .tape import Tape, longest_stride


class Ends(NamedTuple):
    """Zeros whose derivatives are those of t0 and t1. They carry time's share of a gradient."""

    t0: Scalar
    t1: Scalar


class Replayed(NamedTuple):
    """An accepted step, taken again."""

    y: State
    next_shift: Scalar
    coefficients: Any
    shift: Scalar
    h: Scalar
    memory: Any
    """What is kept of the solver's state after the step (`Problem.memory`)."""
    evals: Any
    """Evaluations of f beyond those that every step makes."""


def read_entry(log: jax.Array, index: Any) -> Entry:
    """Entry `index` of the log."""
    return Entry(*jax.lax.dynamic_index_in_dim(log, index, keepdims=False))


def replay_step(
    problem: Problem,
    entry: Entry,
    index: jax.Array,
    y: State,
    memory: Any,
    shift: Scalar,
    ends: Ends,
    wants_interpolant: bool,
) -> Replayed:
    """Take an accepted step again, as a differentiable function of y, the times and the field.

    Step sizes are data, as in the forward solve; but a step that ended at t1 or at another
    prescribed time stays tied to it, and equal steps share the interval's length.

    Args:
        problem: its field may depend on what is being differentiated.
        entry: the step's entry in the log.
        index: the step's number.
        y: the state at which it began.
        memory: what the solver kept of its own state at that time.
        shift: a zero whose derivative is that of the time at which it began.
        ends: likewise for t0 and t1.
        wants_interpolant: whether the coefficients of the dense output are needed.
    """
    count = problem.controller.count
    if count is not None:
        length = ends.t1 - ends.t0
        shift = ends.t0 + (index.astype(shift.dtype) / count) * length
        h = entry.h + length / count
        next_shift = shift
    else:
        is_last, is_anchored = entry.kind == LAST, entry.kind == ANCHORED
        h = entry.h + jnp.where(is_last, ends.t1 - shift, jnp.where(is_anchored, -shift, 0))
        next_shift = jnp.where(is_last, ends.t1, jnp.where(is_anchored, 0, shift))
    clock = Clock(entry.hi + shift, entry.lo)
    solver = problem.solver
    state = problem.recall(clock.hi, y, memory, entry.mark)
    norm = problem.step_norm(jax.lax.stop_gradient(y))
    step = solver.step(problem.field, clock, h, y, state, norm)
    coefficients = None
    if wants_interpolant:
        coefficients = solver.interpolant(problem.field, clock, h, y, step)
    memory = problem.memory(step.state)
    return Replayed(step.y, next_shift, coefficients, shift, h, memory, step.evals)


def replay_row(
    problem: Problem,
    entry: Entry,
    t: Scalar,
    y: State,
    coefficients: Any,
    shift: Scalar,
    h: Scalar,
) -> Any:
    """What is saved at a time t inside a replayed step, differentiably."""
    elapsed = until(Clock(entry.hi + shift, entry.lo), t)
    return problem.row(t, evaluate(y, coefficients, elapsed, h))


def walk_back(
    retake: Callable[[jax.Array, Entry, State], State],
    visit: Callable[[jax.Array, Entry, State, Any], Any],
    log: jax.Array,
    tape: Tape,
    slots: int,
    num_accepted: jax.Array,
    carry: Any,
) -> Any:
    """Visit the accepted steps from the last to the first.

    Args:
        retake: the state after step `index`, given its entry and the state before; used to compute
            the states that the tape dropped.
        visit: (index, entry, state before the step, carry) -> carry.
        log: entries of the accepted steps.
        tape: states at which they began.
        slots: the tape's number of slots.
        num_accepted: how many there are.
        carry: handed from visit to visit.
    """
    stride_bound = longest_stride(log.shape[0] - 1, slots)
    blank = None
    if stride_bound > 1:
        # One row to spare, for lanes that have nothing to write: no lane needs it frozen.
        rows = stride_bound + 1
        blank = tree_map(lambda x: jnp.zeros((rows, *x.shape[1:]), x.dtype), tape.states)

    def is_alive(state):
        return state[0] > 0

    def latest(state):
        """The last of the steps that are left."""
        left, segment, carry = state
        alive, index = is_alive(state), left - 1
        if segment is None:
            y = row(tape.states, index)
        else:
            first = index // tape.stride * tape.stride
            segment = reach(index, first, segment, alive)
            y = row(segment, index - first)
        visited = index, visit(index, read_entry(log, index), y, carry)
        left, carry = freeze(alive, visited, (left, carry))
        return left, segment, carry

    def reach(index, first, segment, alive):
        """The states of the segment that ends with step `index`, where the tape dropped them."""
        segment = set_row(segment, 0, row(tape.states, first // tape.stride))
        is_end = index == jnp.minimum(first + tape.stride, num_accepted) - 1

        def is_wanted(state):
            return alive & is_end & (state[0] < index)

        def redo(state):
            i, states = state
            wanted = is_wanted(state)
            y = retake(i, read_entry(log, i), row(states, i - first))
            to = jnp.where(wanted, i + 1 - first, stride_bound)
            return i + wanted, set_row(states, to, y)

        return while_any(is_wanted, redo, (first, segment))[1]

    return while_any(is_alive, latest, (num_accepted, blank, carry))[2]
