"""Figures: what is drawn is what was given, nothing overlaps, nothing global changes."""

import io
import subprocess
import sys

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from neurode.report import (
    COLOURS,
    Curve,
    LearningCurve,
    Panel,
    Points,
    Portrait,
    VectorField,
    draw_errors,
    draw_panels,
    draw_phase,
    draw_series,
    draw_training,
    encode_png,
    format_number,
    save_png,
)

TIMES = np.arange(1900.0, 1921.0)
VALUES = np.stack([30 + 20 * np.sin(TIMES), 20 + 15 * np.cos(TIMES)], axis=1)
FINE = np.linspace(1900, 1922, 50)
FITS = np.stack([30 + 20 * np.sin(FINE), 20 + 15 * np.cos(FINE)], axis=1)
GRID = np.linspace(0, 60, 12)


def series_figure() -> Figure:
    curves = [
        Curve(FINE, FITS, "Lotka-Volterra", "second", FITS - 3, FITS + 4),
        Curve(FINE, FITS + 1, "neural network"),
        Curve([1915, 1920], np.full((2, 2), 33.0), "last value", "baseline"),
    ]
    return draw_series(
        TIMES,
        VALUES,
        names=["hare", "lynx"],
        curves=curves,
        split=1914.5,
        time_label="year",
        unit="thousand pelts",
    )


def phase_figure() -> Figure:
    x, y = np.meshgrid(GRID, GRID)
    field = VectorField(GRID, GRID, y - 30, 30 - x)
    return draw_phase(
        [
            Portrait("a", [Curve(FITS[:, 0], FITS[:, 1], "one", "second")], field, VALUES[:15]),
            Portrait("b", [Curve(FITS[:, 0], FITS[:, 1], "two")], None, VALUES[:15], VALUES[15:]),
        ],
        names=("hare", "lynx"),
        unit="pelts",
    )


def training_figure() -> Figure:
    steps = np.arange(0, 1000, 10)
    return draw_training(
        [
            LearningCurve(
                steps, np.exp(-steps / 200), "network", "model", 26 + steps // 100, steps
            ),
            LearningCurve(steps[:5], np.full(5, 0.4), "mechanistic", "second"),
        ],
        loss_label="mean squared error",
    )


def errors_figure() -> Figure:
    return draw_errors(
        ["network", "last value", "a baseline with a rather long name"],
        [[2.0, 3.0], [4.0, 1.5], [np.nan, 28.0]],
        groups=["hare", "lynx"],
        roles=["model", "baseline", "baseline"],
        error_label="error (pelts)",
        low=[[1.0, 3.0], [4.0, 1.0], [np.nan, 20.0]],
        high=[[3.5, 3.0], [4.0, 2.0], [np.nan, 30.0]],
    )


def panels_figure() -> Figure:
    x = np.logspace(-6, -1, 12)
    cloud = np.random.default_rng(0).normal(size=(2, 500))
    return draw_panels(
        [
            Panel("log", [Curve(x, x, "line")], [Points(x, 2 * x, "points")], "x", "y", True, True),
            Panel("cloud", points=[Points(cloud[0], cloud[1], "samples", "fourth")]),
            Panel("third", [Curve(x, x**2, "third line", "third")]),
        ]
    )


FIGURES = {
    "series": series_figure,
    "phase": phase_figure,
    "training": training_figure,
    "errors": errors_figure,
    "panels": panels_figure,
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Figure, bytes]]:
    figures = {name: draw() for name, draw in FIGURES.items()}
    return {name: (figure, encode_png(figure)) for name, figure in figures.items()}


@pytest.mark.parametrize("name", FIGURES)
def test_png_is_an_image_of_less_than_300_kb(drawn, name):
    figure, png = drawn[name]
    assert len(png) < 300_000
    image = matplotlib.image.imread(io.BytesIO(png))
    width, height = figure.get_size_inches()
    assert image.shape[1] >= 144 * width * 0.99  # still sharp
    assert abs(image.shape[1] / image.shape[0] - width / height) < 0.02
    assert image[..., :3].std() > 0.01  # not blank


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_overlaps(drawn, name):
    figure, _ = drawn[name]
    renderer = figure.canvas.get_renderer()
    page = figure.bbox
    boxes = [ax.get_tightbbox(renderer) for ax in figure.axes if ax.get_visible()]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    for box in boxes:
        assert box.x0 >= page.x0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y0 >= page.y0 - 1
        assert box.y1 <= page.y1 + 1
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(width, height) <= 2  # pixels


def legend_labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def lines(ax) -> dict:
    return {line.get_label(): line for line in ax.lines}


def test_series_shows_the_arrays(drawn):
    figure, _ = drawn["series"]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["hare", "lynx"]
    assert figure.axes[1].get_xlabel() == "year"
    for j, ax in enumerate(figure.axes):
        assert ax.get_ylabel() == "thousand pelts"
        shown = lines(ax)
        np.testing.assert_array_equal(shown["data"].get_xydata(), np.c_[TIMES, VALUES[:, j]][:15])
        heldout = np.c_[TIMES, VALUES[:, j]][15:]
        np.testing.assert_array_equal(shown["data, held out"].get_xydata(), heldout)
        np.testing.assert_array_equal(shown["neural network"].get_ydata(), FITS[:, j] + 1)
        band = ax.collections[0].get_paths()[0].vertices
        assert band[:, 1].min() == pytest.approx(FITS[:, j].min() - 3)
        assert band[:, 1].max() == pytest.approx(FITS[:, j].max() + 4)
        assert ax.patches[0].get_x() == 1914.5
    assert legend_labels(figure) == [
        "data",
        "data, held out",
        "Lotka-Volterra",
        "neural network",
        "last value",
    ]
    ticks = figure.axes[1].get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_series_without_split_holds_nothing_out():
    figure = draw_series(TIMES, VALUES[:, 0], names=["x"])
    assert legend_labels(figure) == ["data"]
    assert not figure.axes[0].patches


def test_missing_values_are_gaps():
    values = VALUES.copy()
    values[3, 0] = np.nan
    figure = draw_series(TIMES, values, names=["a", "b"])
    assert np.isnan(lines(figure.axes[0])["data"].get_ydata()[3])


def test_a_forecast_that_runs_away_does_not_flatten_the_data():
    curve = Curve(FINE, np.exp((FINE - 1900) * 2), "runaway")
    ax = draw_series(TIMES, VALUES[:, 0], names=["x"], curves=[curve]).axes[0]
    low, high = ax.get_ylim()
    assert high < 3 * VALUES[:, 0].max()
    assert low < VALUES[:, 0].min()


def test_phase_shows_trajectories_field_and_data(drawn):
    figure, _ = drawn["phase"]
    left, right = figure.axes
    np.testing.assert_array_equal(lines(left)["one"].get_xydata(), FITS)
    np.testing.assert_array_equal(lines(right)["data, held out"].get_xydata(), VALUES[15:])
    assert left.collections
    assert not right.collections
    assert left.get_xlim() == (0, 60)
    assert left.get_ylabel() == "lynx (pelts)"
    assert legend_labels(figure) == ["data", "data, held out", "one", "two", "start"]


def test_training_takes_a_log_axis_where_apt(drawn):
    figure, _ = drawn["training"]
    loss, evaluations = figure.axes
    assert loss.get_yscale() == "log"
    assert evaluations.get_yscale() == "linear"
    assert evaluations.get_ylim()[0] == 0
    assert len(evaluations.lines) == 2  # forwards and backwards of the run that counted
    assert legend_labels(figure) == ["network", "mechanistic"]
    for losses in ([-1.0, 1e-3, 10.0], [1.0, 2.0, np.nan], [0.0, 1.0, 10.0]):
        figure = draw_training([LearningCurve([0, 1, 2], losses, "x")])
        assert len(figure.axes) == 1
        assert figure.axes[0].get_yscale() == "linear"


def test_errors_are_bars_with_their_values(drawn):
    figure, _ = drawn["errors"]
    for j, (ax, best) in enumerate(zip(figure.axes, ["2.00", "1.50"], strict=True)):
        widths = [patch.get_width() for patch in ax.patches]
        np.testing.assert_array_equal(widths, [[2, 4, 0], [3, 1.5, 28]][j])
        bold = [t.get_text() for t in ax.texts if t.get_fontweight() == "bold"]
        assert bold == [best]
    assert [t.get_text() for t in figure.axes[0].texts] == ["2.00", "4.00", "none"]
    assert mpl.colors.to_hex(figure.axes[0].patches[1].get_facecolor()) == COLOURS["baseline"]


def test_panels_keep_scales_and_labels(drawn):
    figure, _ = drawn["panels"]
    first = figure.axes[0]
    assert (first.get_xscale(), first.get_yscale()) == ("log", "log")
    assert (first.get_xlabel(), first.get_ylabel()) == ("x", "y")
    assert len(figure.axes) == 4
    assert not figure.axes[3].get_visible()


def test_no_global_state_changes_and_no_pyplot():
    before = dict(mpl.rcParams)
    encode_png(draw_training([LearningCurve([0, 1], [1, 2], "x")]))
    assert dict(mpl.rcParams) == before
    code = (
        "import sys\n"
        "from neurode.report import Curve, Panel, draw_panels, encode_png\n"
        "assert 'matplotlib' not in sys.modules\n"
        "encode_png(draw_panels([Panel(curves=[Curve([0, 1], [0, 1], 'x')])]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(ImportError, match=r'needs matplotlib: pip install "neurode\[report\]"'):
        draw_training([LearningCurve([0, 1], [1, 2], "x")])


def noise_figure(inches: float) -> Figure:
    figure = Figure(figsize=(inches, inches))
    pixels = np.random.default_rng(0).uniform(size=(600, 600, 3))
    figure.add_axes((0, 0, 1, 1)).imshow(pixels, interpolation="nearest")
    return figure


def test_a_heavy_figure_loses_sharpness_not_content(tmp_path):
    path = save_png(noise_figure(3), tmp_path / "noise.png")
    assert 50_000 < path.stat().st_size < 300_000
    with pytest.raises(ValueError, match="more than limit=10000; draw fewer points"):
        save_png(noise_figure(3), tmp_path / "noise.png", limit=10_000)
    assert path.stat().st_size > 50_000  # the older file is still there
    assert [file.name for file in tmp_path.iterdir()] == ["noise.png"]


REFUSED = {
    "role": (lambda: Curve([0], [1], "x", "blue"), "role='blue' is none of data"),
    "rows": (lambda: Curve([0, 1], [1], "x"), r"curve 'x': y has shape \(1,\)"),
    "text": (lambda: Points(["a"], [1], "x"), "points 'x': x is no array of numbers"),
    "half a band": (lambda: Curve([0], [1], "x", low=[0]), "both low and high"),
    "band": (lambda: Curve([0], [1], "x", low=[0], high=[[1]]), "high has shape"),
    "field": (
        lambda: VectorField([0, 1, 2], [0, 1], np.ones((3, 2)), np.ones((3, 2))),
        r"u has shape \(3, 2\)",
    ),
    "states": (lambda: Portrait("x", data=np.ones((3, 3))), r"must have shape \(n, 2\)"),
    "panel": (lambda: Panel(curves=[Curve([0], [[1, 2]], "x")]), "takes y of shape"),
    "learning": (lambda: LearningCurve([0, 1], [1], "x"), "loss has shape"),
    "values": (lambda: draw_series([0, 1], np.ones((2, 3)), names=["a"]), "values have shape"),
    "curve": (
        lambda: draw_series([0], [[1, 2]], names=["a", "b"], curves=[Curve([0], [1], "x")]),
        r"y has shape \(1,\); expected \(m, 2\)",
    ),
    "errors": (lambda: draw_errors(["a"], [[1, 2]]), r"errors have shape \(1, 2\)"),
    "no panels": (lambda: draw_panels([]), "nothing to draw"),
    "no runs": (lambda: draw_training([]), "nothing to draw"),
    "no portraits": (lambda: draw_phase([]), "nothing to draw"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("value", "digits", "trim", "shown"),
    [
        (0.41999, 2, False, "0.42"),
        (28.0, 3, False, "28.0"),
        (28.0, 3, True, "28"),
        (9.999, 3, False, "10.0"),
        (1234.5, 3, False, "1234"),
        (1900, 4, False, "1900"),
        (60_000, 4, False, "60\u202f000"),
        (np.int64(-12_345), 4, False, "-12\u202f345"),
        (1.2e-5, 2, False, "1.2 × 10⁻⁵"),
        (3e-5, 4, True, "3 × 10⁻⁵"),
        (-0.5, 2, False, "−0.50"),
        (2.5e7, 2, False, "2.5 × 10⁷"),
        (0.0, 4, False, "0"),
        (np.float32(0.1), 4, True, "0.1"),
        (float("nan"), 4, False, "n/a"),
        (float("inf"), 4, False, "∞"),
    ],
)
def test_numbers_are_written_as_people_do(value, digits, trim, shown):
    assert format_number(value, digits, trim) == shown
