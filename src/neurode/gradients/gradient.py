"""What every gradient strategy is: a way to run a problem so that JAX can differentiate it."""

import abc
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from ..core.lane_calls import Lanes
from ..core.norms import Tolerance
from ..core.status import Status
from ..core.trees import is_differentiable, per_row, tree_map
from ..core.types import Rows, State, Times
from ..loops.lane_arrays import lanes_last
from ..loops.lanes import LaneEngine, LaneState
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
        keeps_slopes: see `Problem`.
    """

    solver: Solver
    max_steps: int
    dense: bool
    nan_on_failure: bool
    keeps_slopes: bool = False


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
    history: Any
    probe: Any


class GradientStrategy(eqx.Module):
    """How a solve is differentiated."""

    @abc.abstractmethod
    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably."""

    def check(self, settings: Settings, controller: StepController) -> None:
        """Refuse what the strategy cannot do, naming the one that can."""
        del settings, controller


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
        history=inputs.history,
        keeps_slopes=settings.keeps_slopes,
    )


def make_engine(
    settings: Settings, own: Inputs, shared: Inputs, size: int, **options: Any
) -> LaneEngine:
    """The loop that solves the problem for many lanes.

    Args:
        settings: of the solve.
        own: the inputs that differ between lanes, lanes last; None elsewhere.
        shared: the inputs that all lanes share; None elsewhere.
        size: how many lanes.
        options: of the engine.
    """

    def build(own: Inputs, shared: Inputs) -> Problem:
        return make_problem(settings, eqx.combine(own, shared))

    return LaneEngine(build, own, shared, size, **options)


def solve_lanes(settings: Settings, lanes: Lanes, inputs: Inputs) -> Trajectory:
    """Solve for many lanes; everything has lanes first. Not differentiable."""
    return mark_lanes(settings, find_lanes(settings, lanes, inputs))


def find_lanes(settings: Settings, lanes: Lanes, inputs: Inputs) -> Trajectory:
    """As `solve_lanes`, with the last good state in rows that were not reached."""
    own, shared = lanes.split(inputs)
    engine = make_engine(settings, lanes_last(own), shared, lanes.size)
    return engine.finish(engine.run(LaneState(engine.start(), engine.blank_rows(), None)))


def mark_lanes(settings: Settings, trajectory: Trajectory) -> Trajectory:
    """`mark_failure` for each lane."""
    return jax.vmap(lambda trajectory: mark_failure(settings, trajectory))(trajectory)


def basic_recording(settings: Settings) -> Recording:
    """What a solve without derivatives writes down."""
    return Recording(dense=settings.dense, log=settings.dense)


def evals_per_replayed_step(settings: Settings, num_rows: int) -> int:
    """Evaluations of f (each with its transpose) when an accepted step is differentiated."""
    evals = settings.solver.evaluations
    if settings.keeps_slopes or not settings.solver.is_one_step:
        return evals.step + evals.dense
    if num_rows > 2 or settings.dense:
        return evals.start + evals.step + evals.dense
    return evals.step  # the last stage of an FSAL step goes unused


def mark_failure(settings: Settings, trajectory: Trajectory) -> Trajectory:
    """NaN in the rows that a failed solve did not reach."""
    if not settings.nan_on_failure:
        return trajectory
    n = jax.tree_util.tree_leaves(trajectory.rows)[0].shape[0]
    is_missing = jnp.arange(n) >= trajectory.rows_done

    rows = tree_map(lambda x: jnp.where(per_row(is_missing, x), jnp.nan, x), trajectory.rows)
    return trajectory._replace(rows=rows)


def values(asked: Any) -> Any:
    """Arguments that know whether they are differentiated (`symbolic_zeros`), as they are."""
    return tree_map(lambda x: x.value, asked, is_leaf=lambda x: hasattr(x, "perturbed"))


def wants_times(asked: Any) -> Any:
    """Whether the times of such inputs are differentiated: () for yes and None for no.

    So it stands in the structure of what is handed to the way back, and is known when that is
    traced.
    """
    return () if asked.ts.perturbed else None


def instantiate(cotangent: Any) -> Any:
    """A cotangent with arrays where JAX knows of zeros."""

    def leaf(x: Any) -> Any:
        shape_and_type: Any = x
        is_zero = isinstance(x, SymbolicZero)
        return np.zeros(shape_and_type.shape, shape_and_type.dtype) if is_zero else x

    return tree_map(leaf, cotangent)


def split(tree: Any) -> tuple[Any, Any]:
    """A pytree's real and complex arrays, and the rest; `eqx.combine` joins them again."""
    return eqx.partition(tree, is_differentiable)


def any_nonzero(tree: Any) -> jax.Array:
    """Whether any entry of a pytree of cotangents is not zero (NaN counts)."""
    leaves = jax.tree_util.tree_leaves(tree)
    checks = [jnp.any(x != 0) for x in leaves if is_differentiable(x)]
    return jnp.any(jnp.stack(checks)) if checks else jnp.asarray(False)


class Arriving(NamedTuple):
    """The cotangents of the rows, sorted by where they go."""

    inner: Rows
    """Of the rows that were reached before t1; zero elsewhere."""
    last: Any
    """Of the last state."""
    is_lost: jax.Array
    """Whether something depends on a row that a failed solve filled with NaN."""


def arriving_cotangent(settings: Settings, trajectory: Trajectory, rows: Rows) -> Arriving:
    """Sort the cotangents of the rows.

    Rows that a failed solve did not reach hold the last good state, or NaN. In the second case
    every gradient must become NaN as well, unless nothing depends on such a row.
    """
    n = jax.tree_util.tree_leaves(rows)[0].shape[0]
    is_success = trajectory.status == Status.SUCCESS
    is_last = trajectory.holds_last_state(n)
    inner = tree_map(lambda x: jnp.where(per_row(is_last, x), 0, x), rows)
    tail = tree_map(lambda x: jnp.where(per_row(is_last, x), x, 0), rows)
    is_lost = jnp.asarray(False)
    if settings.nan_on_failure:
        is_lost = ~is_success & any_nonzero(tail)
        tail = tree_map(lambda x: jnp.where(is_success, x, 0), tail)
    return Arriving(inner, tree_map(lambda x: jnp.sum(x, axis=0), tail), is_lost)


def spoil(tree: Any, is_spoilt: jax.Array) -> Any:
    """NaN in every real or complex leaf where the scalar condition holds."""
    return tree_map(lambda x: jnp.where(is_spoilt, jnp.nan, x) if is_differentiable(x) else x, tree)
