"""Which solver and which gradient suit a problem: measured on the problem itself."""

from .diagnosis import Diagnosis, diagnose
from .findings import Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
