"""`solve_with_jumps`: solve to an event or a scheduled time, jump, and go on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .. import arguments
from ..core.events import blank
from ..core.interpolation import check_inputs
from ..core.solution import Stats
from ..core.status import SolveError, Status
from ..core.trees import per_row, tree_map
from ..core.types import Rows, State, Times
from ..gradients.checkpointed import Checkpointed
from ..ivp import explained
from .pieces import Pieces, Settings
from .system import Schedule, System, read_system

_OPTIONS = {
    "solver", "rtol", "atol", "stepsize", "gradient", "norm", "max_steps", "throw",
}  # fmt: skip
_REFUSED = {
    "dense": "the pieces between jumps have no common dense output: name the times you want in ts",
    "save": "it returns whole states: apply the function to sol.ys afterwards",
    "resume": "it starts anew after every jump: start from the last state of an earlier solve",
    "probe": "it counts no backward evaluations: take nd.solve to count those of one piece",
}


class JumpSolution(eqx.Module):
    """A solution with jumps.

    Attributes:
        ts: the save times.
        ys: the states then, leaves [len(ts), ...]; at the time of a jump, the state before it.
        jump_times: when the jumps were, [max_jumps]; NaN where there was none.
        jump_index: the event of each, the number of events for a scheduled one, -1 for none.
        before: the states before the jumps, leaves [max_jumps, ...]; NaN where there was none.
        after: the states after them.
        num_jumps: how many there were.
        stats: what it cost, all pieces together.
        status: how it ended; compare with `nd.Status`.
    """

    ts: Times
    ys: Rows
    jump_times: jax.Array
    jump_index: jax.Array
    before: Rows
    after: Rows
    num_jumps: jax.Array
    stats: Stats
    status: jax.Array


def solve_with_jumps(
    f: Callable,
    y0: Any,
    ts: Any,
    args: tuple = (),
    *,
    event: Any = None,
    jump: Any = None,
    schedule: Schedule | None = None,
    max_jumps: int = 16,
    **options: Any,
) -> JumpSolution:
    """Solve y' = f(t, y, *args) with jumps of the state at events and at scheduled times.

    Differentiable as `solve` is, the times of the jumps included. The pieces between jumps are
    solves of their own (`ConstantSteps(n)` takes n steps in each, up to its event).

    Args:
        f: the vector field, `f(t, y, *args) -> dy/dt`.
        y0: the initial state.
        ts: at least two save times, non-decreasing.
        args: a tuple of further arguments of f, of the events and of the jumps.
        event: `nd.Event(fn)` or a tuple of them.
        jump: `jump(t, y, *args)`, the state after an event; or a tuple with one for each event.
        schedule: `nd.Schedule(times, jump)`: jumps at known times.
        max_jumps: the budget of jumps. Memory of a gradient and compiled work grow with it.
        options: solver, rtol, atol, stepsize, gradient, norm, max_steps (of each piece) and throw,
            as in `solve`.

    Returns:
        A `JumpSolution`.

    Raises:
        TypeError: for an argument of the wrong kind, or an option that cannot be had here.
        ValueError: for an argument of the wrong value or shape.
        SolveError: when a plain call fails: as in `solve`; more jumps than the budget; jumps with
            no time between them (Zeno).
    """
    for name in options.keys() - _OPTIONS:
        reason = _REFUSED.get(name, f"it takes {', '.join(sorted(_OPTIONS))}")
        raise TypeError(f"solve_with_jumps takes no {name}=; {reason}")
    if isinstance(max_jumps, bool) or not hasattr(max_jumps, "__index__") or max_jumps < 1:
        raise ValueError(f"max_jumps must be a positive whole number, got {max_jumps!r}")
    arguments.check_args(args)
    y0 = arguments.read_state(y0)
    ts = arguments.read_times(ts, y0)
    if not isinstance(ts, Tracer) and np.asarray(ts)[-1] < np.asarray(ts)[0]:
        raise ValueError(
            f"solve_with_jumps goes forwards in time, for a jump cannot be undone; got "
            f"ts from {float(ts[0]):.6g} to {float(ts[-1]):.6g}"
        )
    check_inputs((f, args), ts)
    system = read_system(f, y0, ts, args, event, jump, schedule)
    static = {k: v for k, v in options.items() if k in ("solver", "max_steps", "throw")}
    traced = {k: v for k, v in options.items() if k not in static}
    if traced.get("norm") is not None:
        traced["norm"] = arguments.hoist_norm(traced["norm"], y0)
    settings = Settings(int(max_jumps), tuple(sorted(static.items())))
    with explained(options.get("gradient", Checkpointed())):
        solution = _run(settings, system, y0, ts, traced)
    if options.get("throw", True):
        _raise_on_failure(solution)
    return solution


@partial(jax.jit, static_argnums=0)
def _run(settings: Settings, system: System, y0: State, ts: Times, options: dict):
    pieces = Pieces(settings, system, y0, ts, options)
    numbers = jnp.arange(settings.max_jumps + 1)
    carry, jumps = jax.lax.scan(pieces.piece, pieces.start(), numbers)
    n = ts.shape[0]
    ended = tree_map(lambda x: jnp.broadcast_to(x, (n, *x.shape)), carry.y)
    is_saved = carry.is_saved
    rows = tree_map(lambda x, y: jnp.where(per_row(is_saved, x), x, y), carry.rows, ended)
    jumps = tree_map(lambda x: x[:-1], jumps)
    is_none = ~jumps.happened
    return JumpSolution(
        ts=ts,
        ys=blank(rows, ~is_saved),
        jump_times=blank(jumps.t, is_none),
        jump_index=jnp.where(is_none, -1, jumps.index),
        before=blank(jumps.before, is_none),
        after=blank(jumps.after, is_none),
        num_jumps=jnp.sum(jumps.happened),
        stats=carry.stats,
        status=carry.status,
    )


def _raise_on_failure(solution: JumpSolution) -> None:
    """Explain a failure, when the call was a plain one."""
    status = solution.status
    if isinstance(status, Tracer) or status.ndim or Status(int(status)) == Status.SUCCESS:
        return
    status = Status(int(status))
    count = int(solution.num_jumps)
    last = f", the last at t={float(solution.jump_times[count - 1]):.7g}" if count else ""
    raise SolveError(
        f"solve_with_jumps stopped on the way from {float(solution.ts[0]):.7g} to "
        f"{float(solution.ts[-1]):.7g} after {count} jumps{last} (status {status.name}): "
        f"{status.sentence}.",
        status,
    )
