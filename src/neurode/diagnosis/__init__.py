"""Which solver and which gradient suit a problem: measured on the problem itself."""

from .diagnosis import Diagnosis, Finding, diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
