"""Deskewing: a slanted stroke stands upright, an upright one stays."""

import numpy as np
import pytest

from neurode.data import DataError, deskew


def stroke(slope):
    image = np.zeros((28, 28), np.uint8)
    for row in range(6, 22):
        image[row, round(14 + slope * (row - 13.5)) - 1 :][:3] = 200
    return image


def lean(image):
    rows, columns = np.indices(image.shape)
    y, x = np.average(rows, weights=image), np.average(columns, weights=image)
    slope = np.average((rows - y) * (columns - x), weights=image)
    return slope / np.average((rows - y) ** 2, weights=image), (y, x)


@pytest.mark.parametrize("slope", [0.0, 0.5, -0.4])
def test_the_slant_is_gone_and_the_ink_in_the_middle(slope):
    before, after = stroke(slope), deskew(stroke(slope)[None])[0]
    assert abs(lean(before)[0]) == pytest.approx(abs(slope), abs=0.05)
    slant, centre = lean(after)
    assert abs(slant) < 0.03
    np.testing.assert_allclose(centre, 13.5, atol=0.1)
    assert after.sum() == pytest.approx(before.sum(), rel=0.02)


def test_blank_images_and_others():
    blank = np.zeros((1, 28, 28), np.uint8)
    np.testing.assert_array_equal(deskew(blank), blank)
    with pytest.raises(DataError, match="must be uint8 of shape"):
        deskew(np.zeros((1, 28, 28)))
