"""The walk back along the tape: each accepted step taken once more and transposed."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.lanes import sum_like, vary_over, varying_axes, while_any
from ..core.status import Status
from ..core.trees import add, row, select, tree_map, zero_cotangent
from ..loops.problem import Entry, Problem, Trajectory
from ..loops.replay import Ends, Replayed, replay_row, replay_step, walk_back
from .gradient import (
    Inputs,
    Settings,
    any_nonzero,
    arriving_cotangent,
    evals_per_replayed_step,
    make_problem,
    split,
    spoil,
)


def kept_per_step(settings: Settings, inputs: Inputs) -> tuple:
    """What the tape holds of each step: the state, and the solver's memory."""
    problem = make_problem(settings, inputs)
    return problem.y0, problem.memory(problem.begin())


class Cotangents(NamedTuple):
    """What the walk along the tape accumulates."""

    y: Any
    memory: Any
    evals: Any
    shift: jax.Array
    ends: Ends
    field: Any
    save: Any
    ts: jax.Array
    next_row: jax.Array


class TapeBackward:
    """The backward pass, bound to what the forward pass kept and to the cotangents.

    Args:
        settings: of the solve.
        slots: of the tape.
        inputs: of the solve.
        found: what the forward pass found, with its log and tape.
        cotangent: of the trajectory.
        ends: zeros that move with t0 and t1, in forward mode over this pass.
        wants_times: whether the save times have a cotangent; else it is left at zero, which saves
            a good part of the arithmetic of small systems.
    """

    def __init__(
        self, settings: Settings, slots: int, inputs: Inputs, found: Trajectory,
        cotangent: Trajectory, ends: Ends | None = None, wants_times: bool = True,
    ):  # fmt: skip
        self.settings, self.slots, self.wants_times = settings, slots, wants_times
        self.inputs, self.found, self.cotangent = inputs, found, cotangent
        self.field, self.field_rest = split(inputs.field)
        self.save, self.save_rest = split(inputs.save)
        self.ts = inputs.ts
        self.axes = varying_axes((inputs.y0, inputs.ts))
        self.zero = vary_over(self.axes, jnp.zeros((), inputs.ts.dtype))
        self.ends = Ends(self.zero, self.zero) if ends is None else ends
        self.has_inner_rows = inputs.ts.shape[0] > 2
        self.rows, self.last_row, self.is_lost = arriving_cotangent(settings, found, cotangent.rows)

    def vjp(self, function: Callable, times: Any, *args: Any) -> tuple:
        """function(times, *args) -> value, aux; and its pullback, to zero where no times count."""
        if self.wants_times:
            return jax.vjp(function, times, *args, has_aux=True)
        # Not `stop_gradient`: forward mode over this pass differentiates the times all the same.
        value, pull, aux = jax.vjp(partial(function, times), *args, has_aux=True)
        zeros = tree_map(jnp.zeros_like, times)
        return value, lambda bar: (zeros, *pull(bar)), aux

    def problem(self, field: Any, save: Any) -> Problem:
        """The problem with the differentiable parts of field and save put in."""
        field = eqx.combine(field, self.field_rest)
        save = eqx.combine(save, self.save_rest)
        return make_problem(self.settings, self.inputs._replace(field=field, save=save))

    def run(self) -> Inputs:
        """Cotangents of the inputs."""
        inputs, found, ts = self.inputs, self.found, self.ts
        # A failed lane on which nothing depends takes no step back: it adds exactly zero.
        is_idle = (found.status != Status.SUCCESS) & ~any_nonzero(
            (self.rows, self.last_row, self.cotangent.y, self.cotangent.interpolants)
        )
        start = self.at_the_end()
        count = jnp.where(is_idle, 0, found.num_accepted)
        done = self.walk(count, start)
        t0, y0, save = self.pull_end(ts[0], inputs.y0, row(self.rows, 0))
        done, history = self.at_the_start(done, count)
        ts_total = done.ts.at[0].add(done.shift + done.ends.t0 + t0).at[-1].add(done.ends.t1)
        result = zero_cotangent(inputs)
        replace = {
            "field": eqx.combine(done.field, result.field),
            "save": eqx.combine(add(done.save, save), result.save),
            "y0": add(done.y, y0),
            "ts": ts_total if self.wants_times else jnp.zeros_like(ts_total),
            "history": eqx.combine(history, result.history),
        }
        if inputs.probe is not None:
            per_step = evals_per_replayed_step(self.settings, ts.shape[0])
            first = self.settings.solver.evaluations.start if self.settings.keeps_slopes else 0
            evals = found.num_accepted * per_step + first + done.evals
            evals = jnp.where(is_idle, 0, evals)
            replace["probe"] = evals.astype(inputs.probe.dtype)
        return sum_like(spoil(result._replace(**replace), self.is_lost), inputs)

    def walk(self, count: jax.Array, start: Any) -> Any:
        """Visit the accepted steps from the last to the first."""
        log, tape = self.found.log, self.found.tape
        return walk_back(self.retake, self.visit, log, tape, self.slots, count, start)

    def pull_end(self, t: jax.Array, y: Any, row_bar: Any) -> tuple:
        """Pull a cotangent back through what is saved at t0 or t1: to t, y and save."""

        def value(t, y, save):
            return self.problem(self.field, save).row(t, y)

        return jax.vjp(value, t, y, self.save)[1](row_bar)

    def at_the_end(self) -> Cotangents:
        """The cotangents that arrive at the last state."""
        found, ts = self.found, self.ts
        t1, y, save = self.pull_end(ts[-1], found.y, self.last_row)
        zero = self.zero
        zeros = tree_map(jnp.zeros_like, self.field)
        ts_zero = jnp.zeros_like(ts).at[-1].add(t1)
        is_success = found.status == Status.SUCCESS
        next_row = jnp.where(is_success, len(ts) - 2, found.rows_done - 1)
        y = add(y, self.cotangent.y)
        return Cotangents(
            y=y, memory=self.memory_at_the_end(), evals=jnp.zeros((), jnp.int32), shift=zero,
            ends=Ends(zero, zero), field=zeros, save=save, ts=ts_zero, next_row=next_row,
        )  # fmt: skip

    def memory_at_the_end(self) -> Any:
        """The cotangent of what the tape would keep at t1; nobody sees a slope."""
        if not self.settings.keeps_slopes:
            return self.cotangent.memory
        return tree_map(lambda x: jnp.zeros_like(x[0]), self.found.tape.states[1])

    def at_the_start(self, done: Cotangents, count: jax.Array) -> tuple[Cotangents, Any]:
        """Pull the cotangent of the first memory back to what the solver made it of.

        Also the cotangent of the history, where the solve went on with one.
        """
        history, rest = split(self.inputs.history)
        if not jax.tree_util.tree_leaves(done.memory):
            return done, tree_map(jnp.zeros_like, history)

        def first_memory(t, y, field, history):
            problem = self.problem(field, self.save)
            ts = self.ts.at[0].set(t)
            history = eqx.combine(history, rest)
            problem = dataclasses.replace(problem, y0=y, ts=ts, history=history)
            return problem.memory(problem.begin())

        _, pull = jax.vjp(first_memory, self.ts[0], self.inputs.y0, self.field, history)
        pulled = pull(done.memory)
        if self.settings.keeps_slopes:  # without a step there is no slope, and f may be NaN
            pulled = select(count > 0, pulled, tree_map(jnp.zeros_like, pulled))
        t, y, field, history = pulled
        done = done._replace(
            y=add(done.y, y), field=add(done.field, field), ts=done.ts.at[0].add(t)
        )
        return done, history

    def retake(self, index: jax.Array, entry: Entry, kept: tuple) -> tuple:
        """What the tape would hold after a step, where it was dropped."""
        y, memory, *shift = kept
        shift = shift[0] if shift else self.zero
        problem = self.problem(self.field, self.save)
        taken = replay_step(problem, entry, index, y, memory, shift, self.ends, False)
        again = (taken.y, taken.memory, taken.next_shift)
        return again[: len(kept)]

    def visit(self, index: jax.Array, entry: Entry, kept: tuple, after: Cotangents) -> Cotangents:
        """Pull the cotangents back through one step."""
        zero = self.zero
        y, memory, *shift = kept
        shift = shift[0] if shift else zero
        wants_interpolant = self.has_inner_rows or self.settings.dense

        def step(times, y, memory, field):
            shift, ends = times
            problem = self.problem(field, self.save)
            taken = replay_step(problem, entry, index, y, memory, shift, ends, wants_interpolant)
            return taken._replace(evals=None), taken.evals

        taken, pull, evals = self.vjp(step, (shift, self.ends), y, memory, self.field)
        inside = tree_map(jnp.zeros_like, (y, taken.coefficients, zero, zero))
        inside = vary_over(self.axes, inside)
        if self.has_inner_rows:
            inside, after = self.gather_rows(entry, y, taken, inside, after)
        y_bar, coefficients_bar, shift_bar, h_bar = inside
        if self.settings.dense:
            dense_y, dense_coefficients = row(self.cotangent.interpolants, index)
            times = self.cotangent.log[index]
            y_bar = add(y_bar, dense_y)
            coefficients_bar = add(coefficients_bar, dense_coefficients)
            shift_bar, h_bar = shift_bar + times[0], h_bar + times[2]
        step_bar = Replayed(
            after.y, after.shift, coefficients_bar, shift_bar, h_bar, after.memory, None
        )
        (shift_back, ends_back), y_back, memory_back, field_back = pull(step_bar)
        return after._replace(
            y=add(y_back, y_bar),
            memory=memory_back,
            evals=after.evals + evals,
            shift=shift_back,
            ends=add(after.ends, ends_back),
            field=add(after.field, field_back),
        )

    def gather_rows(self, entry: Entry, y: Any, taken: Replayed, inside: Any, after: Cotangents):
        """Add up the cotangents of the rows that were interpolated inside a step."""

        def is_inside(index):
            return (index >= 1) & (index >= entry.first_row)

        def pull(carry):
            index, inside, ts_bar, save_bar = carry
            here = is_inside(index)

            def value(times, y, coefficients, save):
                t, shift, h = times
                problem = self.problem(self.field, save)
                return replay_row(problem, entry, t, y, coefficients, shift, h), None

            times = self.ts[index], taken.shift, taken.h
            _, pull, _ = self.vjp(value, times, y, taken.coefficients, self.save)
            row_bar = tree_map(lambda x: jnp.where(here, x, 0), row(self.rows, index))
            (t, *times), *inner, save = pull(row_bar)
            ts_bar = ts_bar.at[index].add(t)
            return index - here, add(inside, (*inner, *times)), ts_bar, add(save_bar, save)

        next_row, inside, ts_bar, save_bar = while_any(
            lambda carry: is_inside(carry[0]),
            pull,
            (after.next_row, inside, after.ts, after.save),
        )
        return inside, after._replace(next_row=next_row, ts=ts_bar, save=save_bar)
