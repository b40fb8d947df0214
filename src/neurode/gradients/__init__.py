"""How a solve is differentiated: one strategy per file."""

from .backsolve import Backsolve
from .checkpointed import Checkpointed
from .direct import Direct
from .forward import Forward
from .gradient import GradientStrategy
from .interpolated import Interpolated
from .reversible import Reversible

__all__ = [
    "Backsolve",
    "Checkpointed",
    "Direct",
    "Forward",
    "GradientStrategy",
    "Interpolated",
    "Reversible",
]
