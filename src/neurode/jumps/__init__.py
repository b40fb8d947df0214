"""Solves with jumps: solve to an event or a scheduled time, jump, and go on."""

from .driver import JumpSolution, solve_with_jumps
from .system import Schedule

__all__ = ["JumpSolution", "Schedule", "solve_with_jumps"]
