"""What every gradient strategy is: a way to run a problem so that JAX can differentiate it."""

import abc
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.norms import Tolerance
from ..core.status import Status
from ..core.trees import is_differentiable, tree_map
from ..core.types import Rows, State, Times
from ..loops.problem import Problem, Recording, Trajectory
from ..solvers.solver import Solver
from ..stepping.controller import StepController


@dataclass(frozen=True)
class Settings:
    """What is known when a solve is compiled.

    Attributes:
        solver: the solver.
        max_steps: the budget of attempted steps.
        dense: whether the interpolants are kept.
        nan_on_failure: whether rows that were not reached become NaN.
    """

    solver: Solver
    max_steps: int
    dense: bool
    nan_on_failure: bool


class Inputs(NamedTuple):
    """Everything a solve depends on at run time; a pytree."""

    field: Any
    """Hoisted f(t, y)."""
    save: Any
    """Hoisted save(t, y), or None."""
    norm: Any
    """Hoisted norm of the scaled error, or None."""
    y0: State
    ts: Times
    tolerance: Tolerance
    controller: StepController
    first_step: Any
    controller_state: Any
    probe: Any


class Result(NamedTuple):
    """What a strategy hands to `solve`."""

    rows: Rows
    trajectory: Trajectory
    """Everything else; its rows, tape and log carry no derivative unless the strategy says so."""


class GradientStrategy(eqx.Module):
    """How a solve is differentiated."""

    @abc.abstractmethod
    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably."""

    def check(self, settings: Settings) -> None:
        """Refuse what the strategy cannot do, naming the one that can."""
        del settings


def make_problem(settings: Settings, inputs: Inputs) -> Problem:
    """The initial value problem that the inputs describe."""
    return Problem(
        field=inputs.field,
        y0=inputs.y0,
        ts=inputs.ts,
        tolerance=inputs.tolerance,
        solver=settings.solver,
        controller=inputs.controller,
        max_steps=settings.max_steps,
        norm=inputs.norm,
        save=inputs.save,
        first_step=inputs.first_step,
        controller_state=inputs.controller_state,
    )


def basic_recording(settings: Settings) -> Recording:
    """What a solve without derivatives writes down."""
    return Recording(dense=settings.dense, log=settings.dense)


def mark_failure(settings: Settings, trajectory: Trajectory) -> Trajectory:
    """NaN in the rows that a failed solve did not reach."""
    if not settings.nan_on_failure:
        return trajectory
    n = jax.tree_util.tree_leaves(trajectory.rows)[0].shape[0]
    is_missing = jnp.arange(n) >= trajectory.rows_done

    def leaf(x):
        if not is_differentiable(x):
            return x
        return jnp.where(is_missing.reshape(n, *[1] * (x.ndim - 1)), jnp.nan, x)

    return trajectory._replace(rows=tree_map(leaf, trajectory.rows))


def split(tree: Any) -> tuple[Any, Any]:
    """A pytree's real and complex arrays, and the rest; `eqx.combine` joins them again."""
    return eqx.partition(tree, is_differentiable)


def any_nonzero(tree: Any) -> jax.Array:
    """Whether any entry of a pytree of cotangents is not zero (NaN counts)."""
    leaves = jax.tree_util.tree_leaves(tree)
    checks = [jnp.any(x != 0) for x in leaves if is_differentiable(x)]
    return jnp.any(jnp.stack(checks)) if checks else jnp.asarray(False)


def arriving_cotangent(settings: Settings, trajectory: Trajectory, rows: Rows) -> tuple[Rows, Rows]:
    """The cotangents of the rows that were reached before t1, and of the last state.

    Rows that a failed solve did not reach hold the last good state, or NaN: in the second case
    their cotangent becomes NaN, unless it is zero and nothing depends on them.
    """
    n = jax.tree_util.tree_leaves(rows)[0].shape[0]
    is_success = trajectory.status == Status.SUCCESS
    first_last = jnp.where(is_success, n - 1, trajectory.rows_done)
    is_last = jnp.arange(n) >= first_last

    def split_leaf(x):
        mask = is_last.reshape(n, *[1] * (x.ndim - 1))
        last = jnp.sum(jnp.where(mask, x, 0), axis=0)
        if settings.nan_on_failure:
            is_lost = ~is_success & jnp.any(jnp.where(mask, x != 0, False))
            last = jnp.where(is_lost, jnp.nan, jnp.where(is_success, last, 0))
        return jnp.where(mask, 0, x), last

    pairs = tree_map(split_leaf, rows)
    outer = jax.tree_util.tree_structure(rows)
    return jax.tree_util.tree_transpose(outer, jax.tree_util.tree_structure((0, 0)), pairs)
