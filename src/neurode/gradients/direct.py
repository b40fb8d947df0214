"""Backpropagation through the operations of the solver: every derivative, of any order.

This is the RK-Net of Chen et al. (2018, section 3). The accepted steps are found by the fast loop;
where a derivative is asked for they are taken again by a loop that JAX can differentiate in
forward and in reverse mode, and again.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..core.trees import (
    is_differentiable,
    per_row,
    real_dtype,
    set_row,
    tree_map,
    zero_cotangent,
)
from ..loops.bounded import bounded_loop
from ..loops.driver import integrate
from ..loops.problem import Recording, Trajectory
from ..loops.replay import Ends, read_entry, replay_row, replay_step
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    basic_recording,
    evals_per_replayed_step,
    make_problem,
    mark_failure,
)


class Direct(GradientStrategy):
    """Differentiate the operations of the solver.

    Forward mode, reverse mode, and derivatives of any order (`jax.hessian`). Exact derivatives of
    the discretisation; memory and compile time above `Checkpointed`'s.
    """

    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably in every mode."""
        probe = inputs.probe
        trajectory = _solve(settings, inputs._replace(probe=None))
        if probe is None:
            return trajectory
        evals = trajectory.num_accepted * evals_per_replayed_step(settings, inputs.ts.shape[0])
        return trajectory._replace(rows=_count(trajectory.rows, probe, evals))


@jax.custom_vjp
def _count(rows: Any, probe: jax.Array, evals: jax.Array) -> Any:
    """The rows; the probe's gradient is the number of evaluations in the backward pass."""
    del probe, evals
    return rows


_count.defvjp(
    lambda rows, probe, evals: (rows, (probe, evals)),
    lambda kept, cotangent: (cotangent, kept[1].astype(kept[0].dtype), zero_cotangent(kept[1])),
)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solve(settings: Settings, inputs: Inputs) -> Trajectory:
    trajectory = integrate(make_problem(settings, inputs), basic_recording(settings))
    return mark_failure(settings, trajectory)


@_solve.defjvp
def _solve_jvp(settings: Settings, primals: tuple, tangents: tuple) -> tuple:
    return solve_jvp(settings, bounded_loop, *primals, *tangents)


def solve_jvp(settings: Settings, loop: Callable, inputs: Inputs, tangents: Any) -> tuple:
    """A trajectory and its tangent, by a loop over the accepted steps.

    Args:
        settings: of the solve.
        loop: `bounded_loop`, or `counted_loop` where forward mode is all that is wanted.
        inputs: of the solve.
        tangents: of the inputs.
    """
    frozen = lax.stop_gradient(inputs)
    recording = Recording(dense=settings.dense, log=True)
    found = mark_failure(settings, integrate(make_problem(settings, frozen), recording))
    log = found.log
    if not settings.dense:
        found = found._replace(log=None)
    replay = partial(_replay, settings, loop, found, log)
    primals_out, tangents_out = jax.jvp(replay, (inputs,), (tangents,))

    def fill(trajectory, replayed):
        return trajectory._replace(
            rows=replayed[0],
            y=replayed[1],
            interpolants=replayed[2],
            log=replayed[3],
        )

    return fill(found, primals_out), fill(zero_cotangent(found), tangents_out)


def _replay(
    settings: Settings, loop: Callable, found: Trajectory, log: jax.Array, inputs: Inputs
) -> tuple:
    """The rows, the last state and the interpolants, as differentiable functions of the inputs."""
    problem = make_problem(settings, inputs)
    ts, n = problem.ts, problem.ts.shape[0]
    ends = Ends(ts[0] - lax.stop_gradient(ts[0]), ts[-1] - lax.stop_gradient(ts[-1]))
    has_inner_rows = n > 2
    first = problem.row(ts[0], problem.y0)
    rows = tree_map(lambda x: jnp.broadcast_to(x, (n, *x.shape)), first)
    numbers = jnp.arange(n)

    def body(index, carry):
        y, memory, shift, rows, interpolants, log_out = carry
        entry = read_entry(log, index)
        wants_interpolant = has_inner_rows or settings.dense
        step = replay_step(problem, entry, index, y, memory, shift, ends, wants_interpolant)
        if has_inner_rows:
            is_final = index + 1 == found.num_accepted
            next_first = jnp.where(is_final, found.rows_done, log[index + 1, -1])
            is_here = (numbers >= entry.first_row) & (numbers < next_first) & (numbers < n - 1)
            here = jax.vmap(
                lambda t: replay_row(problem, entry, t, y, step.coefficients, step.shift, step.h)
            )(jnp.where(is_here, ts, entry.hi))
            rows = tree_map(lambda new, old: jnp.where(per_row(is_here, old), new, old), here, rows)
        if settings.dense:
            interpolants = set_row(interpolants, index, (y, step.coefficients))
            moved = jnp.stack([entry.hi + step.shift, entry.lo, step.h, *entry[3:]])
            log_out = log_out.at[index].set(moved)
        return step.y, step.memory, step.next_shift, rows, interpolants, log_out

    memory = problem.memory(problem.begin())
    start = (problem.y0, memory, ends.t0, rows, found.interpolants, log if settings.dense else None)
    y, _, _, rows, interpolants, log_out = loop(found.num_accepted, body, start, settings.max_steps)
    last = problem.row(ts[-1], y)
    is_last = found.holds_last_state(n)
    rows = tree_map(lambda x, z: jnp.where(per_row(is_last, x), z, x), rows, last)
    rows = mark_failure(settings, found._replace(rows=rows)).rows
    if settings.nan_on_failure:
        rows = _tie(rows, inputs, numbers >= found.rows_done)
    return rows, y, interpolants, log_out


def _tie(rows: Any, inputs: Inputs, is_missing: jax.Array) -> Any:
    """Give missing rows an infinite derivative with respect to every input.

    Else a loss of NaN would have a finite gradient. Multiplying twice by the largest number turns
    every cotangent but zero into infinity, and leaves a zero (a masked lane) what it is.
    """
    leaves = [x for x in jax.tree_util.tree_leaves(inputs) if is_differentiable(x)]
    shadow = jnp.stack([jnp.sum(jnp.real(x - lax.stop_gradient(x))) for x in leaves]).sum()

    def leaf(x):
        largest = jnp.finfo(x.dtype).max
        factor = jnp.where(per_row(is_missing, x), jnp.asarray(largest, real_dtype(x)), 0)
        return x + shadow.astype(factor.dtype) * factor * factor

    return tree_map(leaf, rows)
