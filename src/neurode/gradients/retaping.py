"""The tape of accepted steps as a differentiable function of the inputs, in forward mode.

The tangents of the states on the tape are what forward over reverse (`jax.jacfwd` of a gradient)
needs beside the tape itself. Which steps were accepted, and their sizes, stay data.
"""

import jax.numpy as jnp
from jax import lax

from ..core.trees import set_row, tree_map
from ..loops.bounded import counted_loop
from ..loops.driver import integrate
from ..loops.problem import Recording, Trajectory
from ..loops.replay import Ends, read_entry, replay_step
from .gradient import Inputs, Settings, make_problem


def retape(settings: Settings, slots: int, inputs: Inputs) -> tuple[Trajectory, Ends]:
    """A trajectory with its tape of (y, memory, shift), and zeros that move with t0 and t1."""
    frozen = make_problem(settings, lax.stop_gradient(inputs))
    found = integrate(frozen, Recording(log=True, slots=slots))
    problem = make_problem(settings, inputs)
    ts, stride = problem.ts, found.tape.stride
    ends = Ends(ts[0] - lax.stop_gradient(ts[0]), ts[-1] - lax.stop_gradient(ts[-1]))

    def body(index, carry):
        (y, memory, shift), states = carry
        entry = read_entry(found.log, index)
        slot = jnp.where(index % stride == 0, index // stride, slots)
        states = set_row(states, slot, (y, memory, shift))
        step = replay_step(problem, entry, index, y, memory, shift, ends, False)
        return (step.y, step.memory, step.next_shift), states

    memory = problem.memory(problem.begin())
    begin = (problem.y0, memory, ends.t0)
    states = tree_map(lambda x: jnp.zeros((slots + 1, *x.shape), x.dtype), begin)
    (y, _, _), states = counted_loop(found.num_accepted, body, (begin, states), settings.max_steps)
    found = found._replace(y=y, tape=found.tape._replace(states=states), rows=None)
    return found, ends
