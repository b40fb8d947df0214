"""Padded series: the convention a solve relies on, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from neurode.data import DataError, SeriesBatch, lynx_hare, read_table

NAN = np.nan
RAGGED = [
    ([0.0, 1.0, 2.5], [[1.0, NAN], [2.0, 20.0], [NAN, NAN]]),
    ([3.0, 4.0], [[5.0, 50.0], [6.0, 60.0]]),
]


def test_padding_repeats_the_last_time_and_masks_the_values():
    batch = SeriesBatch.from_list(RAGGED, names=["a", "b"], pad_to=4)
    np.testing.assert_array_equal(batch.ts, [[0, 1, 2.5, 2.5], [3, 4, 4, 4]])
    np.testing.assert_array_equal(batch.lengths, [3, 2])
    np.testing.assert_array_equal(
        batch.ys,
        [[[1, 0], [2, 20], [0, 0], [0, 0]], [[5, 50], [6, 60], [0, 0], [0, 0]]],
    )
    np.testing.assert_array_equal(
        batch.mask,
        [[[1, 0], [1, 1], [0, 0], [0, 0]], [[1, 1], [1, 1], [0, 0], [0, 0]]],
    )
    assert batch.names == ("a", "b")
    assert len(batch) == 2
    assert batch.ts.dtype == batch.ys.dtype == jnp.float32
    assert batch.lengths.dtype == jnp.int32


def test_unpad_gives_back_what_went_in():
    batch = SeriesBatch.from_list(RAGGED, pad_to=7)
    for i, (times, values) in enumerate(RAGGED):
        again_times, again_values = batch.unpad(i)
        np.testing.assert_array_equal(again_times, times)
        np.testing.assert_array_equal(again_values, values)


def test_a_masked_loss_has_finite_gradients():
    batch = SeriesBatch.from_list(RAGGED)

    def loss(shift):
        return jnp.sum(jnp.where(batch.mask, (batch.ys + shift) ** 2, 0))

    assert jax.grad(loss)(0.0) == 2 * (1 + 2 + 20 + 5 + 50 + 6 + 60)


def test_float64_when_enabled():
    with jax.enable_x64(True):
        batch = SeriesBatch.from_list([([1e9, 1e9 + 1e-3], [0.1, 0.2])])
        assert batch.ts.dtype == batch.ys.dtype == jnp.float64
        assert batch.ys[0, 1, 0] == 0.2


@pytest.mark.parametrize(
    ("ts", "ys", "shape"),
    [
        (np.arange(3), np.ones(3), (1, 3, 1)),
        (np.arange(3), np.ones((3, 2)), (1, 3, 2)),
        (np.arange(3), np.ones((4, 3, 2)), (4, 3, 2)),
        (np.tile(np.arange(3), (4, 1)), np.ones((4, 3, 2), int), (4, 3, 2)),
        ([0, 1], [[1, None], [2, 3]], (1, 2, 2)),
        (jnp.arange(2), jnp.ones(2, bool), (1, 2, 1)),
    ],
)
def test_shapes_of_arrays(ts, ys, shape):
    batch = SeriesBatch.from_arrays(ts, ys)
    assert batch.ys.shape == shape
    assert batch.ts.shape == shape[:2]
    assert batch.names == tuple(f"y{j}" for j in range(shape[2]))


def test_pandas_values_bring_their_names():
    frame = pd.DataFrame({"hare": [1.0, None], "lynx": [3, 4]}, index=[1900, 1901])
    batch = SeriesBatch.from_arrays(frame.index, frame)
    assert batch.names == ("hare", "lynx")
    np.testing.assert_array_equal(batch.mask[0], [[1, 1], [0, 1]])


def test_long_frames_and_tables_agree(tmp_path):
    frame = pd.DataFrame({"who": list("BABAB"), "t": [0, 0, 1, 0.5, 2], "x": [1, 2, 3, None, 5]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    from_frame = SeriesBatch.from_frame(frame, "t", id="who")
    from_table = SeriesBatch.from_table(read_table(tmp_path / "x.csv", "t", id="who"))
    np.testing.assert_array_equal(from_frame.lengths, [3, 2])
    np.testing.assert_array_equal(from_frame.ts, [[0, 1, 2], [0, 0.5, 0.5]])
    jax.tree.map(np.testing.assert_array_equal, from_frame, from_table)


def test_select_keeps_the_leading_axis():
    batch = SeriesBatch.from_list(RAGGED)
    assert batch.select(slice(1, 2)).ys.shape == (1, 3, 2)
    np.testing.assert_array_equal(batch.select(np.array([1, 0, 1])).lengths, [2, 3, 2])
    np.testing.assert_array_equal(batch.select(jnp.array([False, True])).lengths, [2])
    with pytest.raises(DataError, match=r"rows=1 must be a slice or an array, such as \[1\]"):
        batch.select(1)


def test_it_is_a_pytree_under_jit():
    batch = SeriesBatch.from_table(lynx_hare())
    total = jax.jit(lambda b: jnp.sum(b.ys, where=b.mask))(batch)
    np.testing.assert_allclose(total, 715.7 + 423.5, rtol=1e-6)


REFUSED = {
    "ragged arrays": (
        lambda: SeriesBatch.from_arrays([0, 1], [[1], [1, 2]]),
        ["ys is ragged", "from_list"],
    ),
    "shapes": (
        lambda: SeriesBatch.from_arrays([0, 1, 2], [[1], [2]]),
        ["ts has shape (3,) and ys (2, 1)", "expected"],
    ),
    "ambiguous": (
        lambda: SeriesBatch.from_arrays([[0, 1]], [[1, 2]]),
        ["ts has shape (1, 2) and ys (1, 2)", "expected"],
    ),
    "text": (lambda: SeriesBatch.from_arrays([0, 1], ["a", "b"]), ["ys", "real numbers", "'a'"]),
    "complex": (lambda: SeriesBatch.from_arrays([0, 1], [1j, 2]), ["ys", "real numbers"]),
    "dates": (
        lambda: SeriesBatch.from_arrays(np.array(["2020", "2021"], "M8[Y]"), [1, 2]),
        ["ts holds dates"],
    ),
    "no series": (lambda: SeriesBatch.from_list([]), ["no series"]),
    "not a pair": (lambda: SeriesBatch.from_list([[1, 2, 3]]), ["series 0", "(times, values)"]),
    "lengths": (
        lambda: SeriesBatch.from_list([([0, 1], [1, 2, 3])]),
        ["series 0 has times of shape (2,) and values (3,)"],
    ),
    "dimensions": (
        lambda: SeriesBatch.from_list([([0, 1], [1, 2]), ([0, 1], [[1, 2], [3, 4]])]),
        ["series 1 has 2 variables, the first one has 1"],
    ),
    "names": (
        lambda: SeriesBatch.from_arrays([0, 1], [1, 2], names=["a", "b"]),
        ["1 variables but names=['a', 'b']"],
    ),
    "one time": (lambda: SeriesBatch.from_arrays([0], [1]), ["series 0 has 1 time(s)", "2"]),
    "nan time": (lambda: SeriesBatch.from_arrays([0, NAN], [1, 2]), ["time 1 is nan"]),
    "duplicate": (
        lambda: SeriesBatch.from_arrays([0, 1, 1], [1, 2, 3]),
        ["time 2 is 1 after 1", "one row per time"],
    ),
    "unsorted": (
        lambda: SeriesBatch.from_arrays([0, 2, 1], [1, 2, 3]),
        ["time 2 is 1 after 2", "sort"],
    ),
    "same in float32": (
        lambda: SeriesBatch.from_arrays([1609459200, 1609459201], [1, 2]),
        ["1609459200 and 1609459201 are the same number in float32", "subtract"],
    ),
    "infinite": (lambda: SeriesBatch.from_arrays([0, 1], [1, np.inf]), ["row 1", "is infinite"]),
    "too large": (
        lambda: SeriesBatch.from_arrays([0, 1], [1, 1e300]),
        ["1e+300", "too large for float32", "rescale"],
    ),
    "variable never seen": (
        lambda: SeriesBatch.from_arrays([0, 1], [[1, NAN], [2, NAN]], names=["a", "b"]),
        ["'b' is never observed"],
    ),
    "series never seen": (
        lambda: SeriesBatch.from_list([([0, 1], [1, 2]), ([0, 1], [NAN, NAN])]),
        ["series 1 has no observed value"],
    ),
    "padding": (
        lambda: SeriesBatch.from_arrays([0, 1], [1, 2], pad_to=1),
        ["pad_to=1 is less than 2"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    build, expected = REFUSED[case]
    with pytest.raises(DataError) as caught:
        build()
    assert "\n" not in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


def test_refusals_name_the_series_by_its_id():
    frame = pd.DataFrame({"w": ["A", "A", "B", "B"], "t": [0, 1, 0, 1], "x": [1, 2, None, None]})
    with pytest.raises(DataError, match="series 'B' has no observed value"):
        SeriesBatch.from_frame(frame, "t", id="w")


def test_series_that_cannot_be_held_are_refused(monkeypatch):
    monkeypatch.setattr("neurode.data.series._memory", lambda: 10_000)
    pairs = [(np.arange(3.0), np.zeros(3)), (np.arange(200.0), np.zeros(200))]
    with pytest.raises(DataError, match="series 1 has 200 rows; padded to as many, the 2 series"):
        SeriesBatch.from_list(pairs)
