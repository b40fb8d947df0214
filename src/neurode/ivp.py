"""`solve`: check the input, hoist the functions, run, and explain a failure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from . import arguments
from .core.events import Events
from .core.interpolation import check_inputs
from .core.lanes import vary_over, varying_axes
from .core.solution import DenseOutput, Resume, Solution, Stats
from .core.status import SolveError, Status
from .core.trees import tree_map
from .gradients.checkpointed import Checkpointed
from .gradients.event_time import run_to_event
from .gradients.gradient import GradientStrategy, Inputs, Settings
from .loops.problem import Trajectory
from .solvers.explicit_rk import Tsit5
from .solvers.interpolants import evaluate
from .solvers.solver import Solver
from .stepping.controller import IController, StepController

_DEFAULT_STEPSIZE = IController()


def solve(
    f: Callable,
    y0: Any,
    ts: Any,
    args: tuple = (),
    *,
    solver: Solver = Tsit5(),  # noqa: B008
    rtol: Any = 1e-4,
    atol: Any = 1e-6,
    stepsize: StepController = _DEFAULT_STEPSIZE,
    gradient: GradientStrategy = Checkpointed(),  # noqa: B008
    event: Any = None,
    dense: bool = False,
    save: Callable | None = None,
    norm: Callable | None = None,
    probe: Any = None,
    resume: Resume | None = None,
    max_steps: int = 4096,
    throw: bool = True,
) -> Solution:
    """Solve y' = f(t, y, *args) from y(ts[0]) = y0 and return y at every time in ts.

    Differentiable with respect to y0, args, every entry of ts, and whatever f holds or closes
    over. `jax.vmap` of a solve means independent solves; a batch axis inside y0 means one joint
    system with one step size.

    Args:
        f: the vector field, `f(t, y, *args) -> dy/dt`, a pytree like y.
        y0: the initial state: any pytree of real or complex arrays.
        ts: at least two save times, non-decreasing or non-increasing. Repeats are allowed.
        args: a tuple of further arguments of f.
        solver: the method, such as `Tsit5()` or `Dopri8()`.
        rtol: relative tolerance: a number, or a pytree matching y0.
        atol: absolute tolerance, likewise. Infinite on a leaf: integrate it, do not control it.
        stepsize: what decides the step size: `IController()`, `ConstantSteps(n)`, ...
        gradient: how the solve is differentiated: `Checkpointed()`, `Backsolve()`, `Direct()`.
        event: `nd.Event(fn)` or a tuple of them: the solve ends where the first one changes its
            sign, with status EVENT, and rows after it are NaN. See `Solution.event_time`.
        dense: whether the solution can be called at any time.
        save: `save(t, y)`, what to store instead of y.
        norm: the norm of the scaled error (a pytree like y0) that is held below 1.
        probe: a zero; its gradient is the number of evaluations of f in the backward pass.
        resume: `sol.resume` of an earlier solve that ended at ts[0] with y0, to go on with its
            step size and its solver's history instead of starting anew.
        max_steps: the budget of attempted steps (`ConstantSteps(n)` replaces it by n).
        throw: whether a plain call raises on failure. Under jit, vmap and grad rows after a
            failure are NaN instead and `status` says why. False: never raise, and rows after a
            failure hold the last good state.

    Returns:
        A `Solution`: `ts`, `ys` (leaves with a leading axis len(ts)), `stats`, `status`, `resume`.

    Raises:
        TypeError: for an argument of the wrong kind.
        ValueError: for an argument of the wrong value or shape.
        SolveError: when a plain call fails: budget spent, step size underflow, NaN, or f raised.
    """
    arguments.check_options(solver, stepsize, gradient, dense, save, norm, max_steps, throw)
    arguments.check_args(args)
    y0 = arguments.read_state(y0)
    ts = arguments.read_times(ts, y0)
    check_inputs((f, args), ts)
    time = jax.ShapeDtypeStruct((), ts.dtype)
    state = tree_map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), y0)
    field = arguments.hoist_field(f, time, state, args)
    axes = varying_axes((field, y0, ts))
    if axes:
        y0, ts = vary_over(axes, (y0, ts))
        time, state = ts[0], y0
        field = arguments.hoist_field(f, time, state, args)
    controller = arguments.read_controller(stepsize, ts.dtype)
    count = controller.count
    settings = Settings(solver, max_steps if count is None else count, dense, throw)
    solver.check(field, y0)
    gradient.check(settings, controller)
    resume = arguments.read_resume(resume, solver, field, y0, ts)
    inputs = Inputs(
        field=field,
        save=None if save is None else arguments.hoist_save(save, time, state),
        norm=None if norm is None else arguments.hoist_norm(norm, state),
        y0=y0,
        ts=ts,
        tolerance=arguments.read_tolerances(rtol, atol, y0, ts.dtype),
        controller=controller,
        first_step=None if resume is None else resume.step_size,
        controller_state=None if resume is None else resume.controller_state,
        history=resume,
        probe=None if probe is None else arguments.read_probe(probe),
    )
    gradient = arguments.as_arrays(gradient, ts.dtype)
    events = None if event is None else arguments.hoist_events(event, time, state, args)
    with explained(gradient, has_probe=probe is not None):
        solution = _run(settings, gradient, inputs, events)
    if throw:
        _raise_on_failure(solution, solver, settings.max_steps)
    return solution


@contextmanager
def explained(gradient: GradientStrategy, has_probe: bool = False) -> Iterator[None]:
    """Where a gradient has no forward mode, say which one has."""
    try:
        yield
    except TypeError as error:
        if "forward-mode autodiff" not in str(error):
            raise
        if has_probe:
            raise TypeError(
                "probe= counts the evaluations of a backward pass; forward mode (jvp, jacfwd, "
                "hessian) has none: leave the probe out"
            ) from error
        raise TypeError(
            f"gradient={type(gradient).__name__}() has no forward mode (jvp, jacfwd, hessian): "
            f"use gradient=nd.Direct(), which has every mode and order"
        ) from error


@partial(jax.jit, static_argnums=0)
def _run(
    settings: Settings, gradient: GradientStrategy, inputs: Inputs, events: Events | None
) -> Solution:
    """The compiled solve. Found again by what f computes, not by which object it is."""
    if events is None:
        return _solution(settings, gradient.run(settings, inputs), inputs.ts)
    ended = run_to_event(gradient, settings, inputs, events)
    solution = _solution(settings, ended.trajectory, ended.ts)
    return replace(
        solution,
        ts=inputs.ts,
        event_time=ended.time,
        event_y=ended.y,
        event_index=ended.index,
    )


def _solution(settings: Settings, trajectory: Trajectory, ts: jax.Array) -> Solution:
    """What a solve returns, from what its loop handed back."""
    stats = Stats(
        trajectory.num_steps,
        trajectory.num_accepted,
        trajectory.num_steps - trajectory.num_accepted,
        trajectory.num_f_evals,
        trajectory.num_jacobians,
    )
    direction = jnp.where(ts[-1] < ts[0], -1, 1).astype(ts.dtype)
    planned = jax.lax.stop_gradient(
        (trajectory.t, direction, trajectory.next_step, trajectory.controller_state)
    )
    resume = Resume(*planned, trajectory.memory, trajectory.mark)
    dense = _dense_output(trajectory, ts) if settings.dense else None
    return Solution(ts, trajectory.rows, stats, trajectory.status, resume, dense)


def _dense_output(trajectory: Trajectory, ts: jax.Array) -> DenseOutput:
    starts, coefficients = trajectory.interpolants
    log, count = trajectory.log, trajectory.num_accepted
    is_taken = jnp.arange(log.shape[0]) < count
    is_there = (trajectory.status == Status.SUCCESS) | (trajectory.status == Status.EVENT)
    last = jnp.where(is_there, ts[-1], trajectory.t)
    steps = jnp.where(is_taken, log[:, 0], last)
    return DenseOutput(steps, starts, coefficients, log[:, 2], log[:, 1], count, evaluate)


def _raise_on_failure(solution: Solution, solver: Solver, max_steps: int) -> None:
    """Explain a failure, when the call was a plain one: no transformation around it."""
    status = solution.status
    if any(isinstance(x, Tracer) for x in jax.tree_util.tree_leaves(solution)) or status.ndim:
        return
    status = Status(int(status))
    if status in (Status.SUCCESS, Status.EVENT):
        return
    ts, stats = solution.ts, solution.stats
    raise SolveError(
        f"{type(solver).__name__} stopped at t={float(solution.resume.time):.7g} on the way from "
        f"{float(ts[0]):.7g} to {float(ts[-1]):.7g} (status {status.name}, step size "
        f"{float(solution.resume.step_size):.3g}, {int(stats.num_accepted)} steps accepted and "
        f"{int(stats.num_rejected)} rejected of max_steps={max_steps}): {status.sentence}.",
        status,
    )
