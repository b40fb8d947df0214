"""What a solve returns."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .types import Rows, State, Times


class Stats(eqx.Module):
    """What a solve cost. Integer scalars; one per lane under `jax.vmap`.

    Attributes:
        num_steps: attempted steps.
        num_accepted: accepted steps.
        num_rejected: rejected steps.
        num_f_evals: evaluations of the vector field (NFE), those for the first step size and for
            dense output included.
        num_jacobians: evaluations of the Jacobian of f (implicit solvers only).
    """

    num_steps: jax.Array
    num_accepted: jax.Array
    num_rejected: jax.Array
    num_f_evals: jax.Array
    num_jacobians: jax.Array | int = 0


class Resume(eqx.Module):
    """Where a solve left off, for `nd.solve(..., resume=sol.resume)`.

    Attributes:
        time: the last time reached.
        direction: 1 or -1, of time.
        step_size: the (positive) size planned for the next step.
        controller_state: the step size controller's memory.
        memory: the solver's: the history of a multistep method; None where there is none. Alone of
            these it carries derivatives, which `Direct` and `Checkpointed` follow.
        mark: what the solver chose for the next step (an order, a method).
    """

    time: jax.Array
    direction: jax.Array
    step_size: jax.Array
    controller_state: Any
    memory: Any
    mark: jax.Array


class DenseOutput(eqx.Module):
    """The interpolants of all accepted steps.

    Attributes:
        steps: the accepted times t_0 ... t_n, padded with the last of them, [max_steps + 1].
        starts: states at which the steps began, leaves [max_steps + 1, ...] (the last is spare).
        coefficients: per power of the fraction of a step, leaves [max_steps + 1, ...].
        sizes: signed step sizes, [max_steps + 1].
        offsets: the part of each start time that `steps` cannot show, [max_steps + 1].
        num_accepted: how many steps there are.
        evaluate: (y, coefficients, elapsed, h) -> y, the solver's interpolation.
    """

    steps: jax.Array
    starts: State
    coefficients: tuple[State, ...]
    sizes: jax.Array
    offsets: jax.Array
    num_accepted: jax.Array
    evaluate: Any = eqx.field(static=True)

    def __call__(self, t: jax.Array) -> State:
        """The state at one time t; NaN outside the interval that was solved."""
        direction = jnp.where(self.steps[-1] < self.steps[0], -1, 1)
        is_before = direction * (t - self.steps[0]) < 0
        is_after = direction * (t - self.steps[-1]) > 0
        inside = ~is_before & ~is_after & (self.num_accepted > 0)
        # Times that `steps` alone cannot tell apart are told apart by their offsets.
        elapsed = (t - self.steps) - self.offsets
        begun = (direction * elapsed > 0) & (jnp.arange(elapsed.size) < self.num_accepted)
        index = jnp.clip(jnp.sum(begun) - 1, 0, self.num_accepted - 1)
        take = lambda tree: jax.tree_util.tree_map(lambda x: x[index], tree)  # noqa: E731
        y = self.evaluate(
            take(self.starts), take(self.coefficients), elapsed[index], self.sizes[index]
        )
        return jax.tree_util.tree_map(lambda x: jnp.where(inside, x, jnp.nan), y)


class Solution(eqx.Module):
    """The solution of an initial value problem.

    Attributes:
        ts: the save times.
        ys: the saved states; a pytree like y0, every leaf with a leading axis len(ts). ys[0] is y0.
        stats: what it cost.
        status: how it ended; compare with `nd.Status`.
        resume: where it left off.
        dense: the dense output, when asked for; call the solution to evaluate it.
        event_time: when an event ended the solve, NaN if none did; None without `event=`.
        event_y: the state then, likewise.
        event_index: which event it was, -1 if none; None without `event=`.
    """

    ts: Times
    ys: Rows
    stats: Stats
    status: jax.Array
    resume: Resume
    dense: DenseOutput | None = None
    event_time: Any = None
    event_y: Any = None
    event_index: Any = None

    @property
    def steps(self) -> jax.Array:
        """The accepted times, padded with the last of them (needs `dense=True`)."""
        return self._dense_output().steps

    def __call__(self, t: Any) -> State:
        """The state at times between ts[0] and ts[-1]; NaN outside, and after a failure.

        Args:
            t: a time, or an array of times of any shape.

        Returns:
            A pytree like y0, every leaf with the axes of t in front.

        Raises:
            ValueError: for a solution without dense output, or of several lanes.
        """
        dense = self._dense_output()
        if self.status.ndim:
            raise ValueError(
                "this is a vmapped solution with several lanes: evaluate each with "
                "jax.vmap(lambda s: s(t))(sol)"
            )
        return _evaluate(dense, jnp.asarray(t, self.ts.dtype))

    def _dense_output(self) -> DenseOutput:
        if self.dense is None:
            raise ValueError("this solution has no dense output: ask for it with solve(dense=True)")
        return self.dense


@jax.jit
def _evaluate(dense: DenseOutput, t: jax.Array) -> State:
    flat = jax.vmap(dense)(t.reshape(-1))
    return jax.tree_util.tree_map(lambda x: x.reshape(*t.shape, *x.shape[1:]), flat)
