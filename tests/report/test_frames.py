"""Grids of small pictures: what is drawn, and what is refused."""

import numpy as np
import pytest

from neurode.report import DensityMap, Frame, draw_frames, encode_png

SIDE = np.linspace(-1, 1, 8)


def test_a_grid_of_frames():
    density = DensityMap(SIDE, SIDE, np.exp(-(SIDE[:, None] ** 2) - SIDE**2))
    cloud = Frame(points=np.zeros((600, 2)), role="model", title="cloud")
    figure = draw_frames(
        [[Frame(density), cloud, None], [Frame(density, [[0, 0]]), None, cloud]],
        titles=["a", "b", "c"],
        labels=["first", "second"],
        limits=(-1, 1, -1, 1),
    )
    axes = figure.axes
    assert len(axes) == 6
    assert [ax.get_title(loc="left") for ax in axes[:3]][0] == "a"
    assert axes[0].get_ylabel() == "first"
    assert not axes[2].get_visible()
    assert axes[1].get_xlim() == (-1, 1)
    assert len(encode_png(figure)) < 300_000


@pytest.mark.parametrize("rows", [[], [[]], [[None], [None, None]]])
def test_no_grid(rows):
    with pytest.raises(ValueError, match="rows of equal length"):
        draw_frames(rows)


def test_a_density_of_the_wrong_shape():
    with pytest.raises(ValueError, match="expected"):
        DensityMap(SIDE, SIDE[:5], np.zeros((8, 5)))


def test_groups_have_colours_of_their_own():
    points = np.random.default_rng(0).random((30, 2))
    figure = draw_frames([[Frame(points=points, groups=np.arange(30) % 3)]])
    [ax] = figure.axes
    assert len(ax.lines) == 3
    assert len({line.get_markerfacecolor() for line in ax.lines}) == 3
    assert sum(len(line.get_xdata()) for line in ax.lines) == 30
