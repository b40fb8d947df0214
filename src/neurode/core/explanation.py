"""Words for how the lanes of a vmapped solution ended."""

import numpy as np

from .solution import Solution
from .status import Status

_SHOWN = 5


def explain(solution: Solution) -> None:
    """Print how many solves of a (vmapped) solution failed, the first of them, and why.

    Args:
        solution: what `solve` returned, under any number of `jax.vmap`.
    """
    print(explanation(solution))


def explanation(solution: Solution) -> str:
    """What `explain` prints."""
    status = np.asarray(solution.status)
    is_failure = (status != Status.SUCCESS) & (status != Status.EVENT)
    total, lost = status.size, int(np.sum(is_failure))
    if not lost:
        return "the solve succeeded" if status.ndim == 0 else f"all {total} solves succeeded"
    lines = [f"{lost} of {total} solves failed"] if status.ndim else []
    reached, steps = np.asarray(solution.resume.time), np.asarray(solution.stats.num_steps)
    for value in np.unique(status[is_failure]):
        where = np.argwhere(status == value)
        reason = Status(int(value))
        lines.append(f"{reason.name} ({len(where)}): {reason.sentence}")
        for index in map(tuple, where[:_SHOWN]):
            at = f"lane {', '.join(map(str, index))} " if index else ""
            lines.append(f"  {at}stopped at t={reached[index]:.7g} after {steps[index]} steps")
        if len(where) > _SHOWN:
            lines.append(f"  and {len(where) - _SHOWN} more")
    return "\n".join(lines)
