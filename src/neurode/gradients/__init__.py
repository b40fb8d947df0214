"""How a solve is differentiated: one strategy per file."""

from .backsolve import Backsolve
from .checkpointed import Checkpointed
from .direct import Direct
from .gradient import GradientStrategy

__all__ = ["Backsolve", "Checkpointed", "Direct", "GradientStrategy"]
