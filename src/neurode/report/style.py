"""How figures and numbers look: colours that mean the same everywhere, fonts, digits."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

# Okabe and Ito (2008), "Color Universal Design": told apart with any colour vision. A role has
# one colour and one line style in all figures, so that prints in grey can be read as well.
COLOURS = {
    "data": "#1f2328",
    "truth": "#1f2328",
    "model": "#0072b2",
    "second": "#d55e00",
    "third": "#009e73",
    "fourth": "#aa4a89",  # Okabe-Ito's purple, darkened to be read on white
    "baseline": "#8b949e",
}
# Ten that are told apart as dots, for the classes of a classifier (P. Tol's "muted" and grey).
GROUPS = (
    "#332288", "#cc6677", "#117733", "#ddcc77", "#88ccee",
    "#aa4499", "#44aa99", "#882255", "#999933", "#777777",
)  # fmt: skip
LINES = {
    "data": "-",
    "truth": (0, (1, 1.2)),
    "model": "-",
    "second": (0, (6, 1.6)),
    "third": (0, (6, 1.4, 1.4, 1.4)),
    "fourth": (0, (3, 1.2)),
    "baseline": (0, (2, 1.6)),
}
MARKERS = {
    "data": "o",
    "truth": "o",
    "model": "o",
    "second": "s",
    "third": "^",
    "fourth": "D",
    "baseline": "v",
}
WIDTH = 7.6  # inches: a figure across the whole page
INK, MUTED, GRID, SHADE = "#1f2328", "#59636e", "#e4e8ec", "#f2f4f7"

STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.06,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7.0,
    "axes.edgecolor": "#afb8c1",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": "#afb8c1",
    "ytick.color": "#afb8c1",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "legend.fontsize": 8.8,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.8,
    "legend.borderaxespad": 0.2,
}


@contextmanager
def apply_style() -> Iterator[None]:
    """Draw or save inside this context in the house's style; nothing stays changed outside.

    Raises:
        ImportError: matplotlib is missing.
    """
    try:
        import matplotlib.style
    except ImportError:
        raise ImportError(
            'drawing figures needs matplotlib: pip install "neurode[report]"'
        ) from None
    # "default" first: a user's matplotlibrc has no say in a report.
    with matplotlib.style.context(["default", STYLE]):
        yield


def format_number(value: float, digits: int = 4, trim: bool = False) -> str:
    """Return a number as people write it: 28.0, 0.00123, 60 000, 1.2 × 10⁻⁵.

    Args:
        value: integers keep all their digits; NaN is "n/a".
        digits: significant digits of everything else.
        trim: drop zeros at the end, for a number that stands alone.
    """
    if isinstance(value, (int, np.integer)):
        # Four digits stay together, so that years look like years.
        return (f"{value:,}" if abs(value) >= 10_000 else f"{value}").replace(",", "\u202f")
    value = float(value)
    if not math.isfinite(value):
        return "n/a" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if trim and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    if -4 <= power < max(digits, 6):
        shown = f"{value:.{max(digits - 1 - power, 0)}f}"
        shown = shown.rstrip("0").rstrip(".") if trim and "." in shown else shown
    else:
        superscript = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        shown = f"{mantissa} × 10{superscript}"
    return shown.replace("-", "−")
