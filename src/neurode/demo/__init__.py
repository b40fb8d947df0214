"""The demonstration: models fitted to data that come with the package, and one report on them."""

from neurode.demo.runner import SECTIONS as SECTIONS
from neurode.demo.runner import run_demo as run_demo
from neurode.demo.section import DemoSection as DemoSection
from neurode.demo.section import SectionResult as SectionResult
from neurode.demo.stages import Stages as Stages

__all__ = ["SECTIONS", "DemoSection", "SectionResult", "Stages", "run_demo"]
