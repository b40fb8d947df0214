"""How a solve ended, in one number per solve and one sentence per number."""

import enum


class Status(enum.IntEnum):
    """How a solve ended. Compare with `sol.status == nd.Status.SUCCESS`.

    Under `jax.vmap` a solution carries one status per lane.
    """

    SUCCESS = 0
    MAX_STEPS = 1
    STEP_UNDERFLOW = 2
    NON_FINITE = 3
    INVALID_INPUT = 4
    EVENT = 5
    UNSOLVED_STAGE = 6
    MAX_JUMPS = 7
    ZENO = 8

    @property
    def sentence(self) -> str:
        """What happened and what to try, in words."""
        return _SENTENCES[self]


RUNNING = -1
"""Internal: the loop has not ended. Never seen in a solution."""

_SENTENCES = {
    Status.SUCCESS: "the solve reached the last time",
    Status.MAX_STEPS: (
        "the budget of steps was used up before the last time was reached; try a larger max_steps, "
        "a looser rtol/atol, a solver of higher order, or solver=nd.AutoSwitch() if the problem "
        "may be stiff"
    ),
    Status.STEP_UNDERFLOW: (
        "the step size shrank below what the time can resolve; the solution may blow up or f may "
        "jump there: check f near this time, name its jumps with jump_at=, loosen rtol/atol, or "
        "set min_step="
    ),
    Status.NON_FINITE: (
        "f or the state became NaN or infinite; the solution may blow up or f may be undefined "
        "there: check f near this time, whether an event function is NaN or an nd.Interpolation "
        "ends there (extrapolate=True lets it go on), or start with a smaller first_step="
    ),
    Status.EVENT: (
        "an event ended the solve, as it must; sol.event_time, sol.event_y and sol.event_index say "
        "when, where and which"
    ),
    Status.MAX_JUMPS: (
        "the budget of jumps was used up before the last time was reached; try a larger max_jumps, "
        "or give an event a direction= if it fires where it should not"
    ),
    Status.ZENO: (
        "jumps follow each other with no time between them, as the bounces of a ball that comes to "
        "rest; try to end the solve before, or let the jump lead away from the event"
    ),
    Status.UNSOLVED_STAGE: (
        "the equations of an implicit step could not be solved, however small the step: f or its "
        "Jacobian may be NaN, infinite or discontinuous there, or the Jacobian singular; check f "
        "near this time, and its derivative with jax.jacfwd"
    ),
    Status.INVALID_INPUT: (
        "an input was invalid: times must be finite and sorted, rtol and atol non-negative and not "
        "both zero, y0 finite, step sizes positive"
    ),
}


class SolveError(RuntimeError):
    """A solve that could not be completed.

    Attributes:
        status: why, as a `Status`, or None when the solve did not start.
    """

    def __init__(self, message: str, status: Status | None = None):
        super().__init__(message)
        self.status = status

    def __reduce__(self):
        return type(self), (self.args[0], self.status)
