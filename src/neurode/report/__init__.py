"""Arrays become pictures and pictures one HTML page; nothing is computed here."""

from neurode.report.figures import draw_errors as draw_errors
from neurode.report.figures import draw_panels as draw_panels
from neurode.report.figures import draw_phase as draw_phase
from neurode.report.figures import draw_series as draw_series
from neurode.report.figures import draw_training as draw_training
from neurode.report.frames import DensityMap as DensityMap
from neurode.report.frames import Frame as Frame
from neurode.report.frames import draw_frames as draw_frames
from neurode.report.images import encode_png as encode_png
from neurode.report.images import save_png as save_png
from neurode.report.marks import Curve as Curve
from neurode.report.marks import LearningCurve as LearningCurve
from neurode.report.marks import Panel as Panel
from neurode.report.marks import Points as Points
from neurode.report.marks import Portrait as Portrait
from neurode.report.marks import VectorField as VectorField
from neurode.report.page import Page as Page
from neurode.report.page import Section as Section
from neurode.report.style import COLOURS as COLOURS
from neurode.report.style import format_number as format_number

__all__ = [
    "COLOURS",
    "Curve",
    "DensityMap",
    "Frame",
    "LearningCurve",
    "Page",
    "Panel",
    "Points",
    "Portrait",
    "Section",
    "VectorField",
    "draw_errors",
    "draw_frames",
    "draw_panels",
    "draw_phase",
    "draw_series",
    "draw_training",
    "encode_png",
    "format_number",
    "save_png",
]
