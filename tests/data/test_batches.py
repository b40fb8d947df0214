"""Minibatches: every epoch a true permutation, well mixed, and a pure function of the step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from neurode.data import ArrayBatches, DataError, FullBatch, SeriesBatch
from neurode.data.batches import permute_positions


def permute_all(n: int, draws: int, seed: int) -> np.ndarray:
    """Return `draws` permutations of 0…n-1, [draws, n]."""
    keys = jax.random.split(jax.random.key(seed), draws)
    return np.asarray(jax.jit(jax.vmap(lambda key: permute_positions(jnp.arange(n), n, key)))(keys))


@pytest.mark.parametrize("n", [1, 2, 5, 97, 60_000])
def test_it_is_a_permutation(n):
    draws = 50 if n < 2000 else 2
    images = permute_all(n, draws, seed=n)
    np.testing.assert_array_equal(np.sort(images, axis=1), np.tile(np.arange(n), (draws, 1)))


def test_every_order_of_five_is_equally_likely():
    orders, counts = np.unique(permute_all(5, 24_000, seed=1), axis=0, return_counts=True)
    assert len(orders) == 120
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("n", [21])
def test_it_is_well_mixed(n):
    images = permute_all(n, 4000, seed=2)
    first = np.bincount(images[:, 0], minlength=n)
    step = np.bincount((images[:, 1] - images[:, 0]) % n, minlength=n)[1:]
    apart = np.bincount((images[:, n // 2] - images[:, 0]) % n, minlength=n)[1:]
    for counts in (first, step, apart):
        assert stats.chisquare(counts).pvalue > 1e-3
    # A random permutation has one fixed point on average, with variance one.
    fixed = (images == np.arange(n)).sum(axis=1)
    assert abs(fixed.mean() - 1) < 5 / np.sqrt(4000)
    assert abs(fixed.var() - 1) < 0.2


def test_large_sets_show_no_order():
    n = 60_000
    images = permute_all(n, 2, seed=3)
    neighbours = np.corrcoef(images[0, :-1], images[0, 1:])[0, 1]
    epochs = np.corrcoef(images[0], images[1])[0, 1]
    assert abs(neighbours) < 5 / np.sqrt(n)
    assert abs(epochs) < 5 / np.sqrt(n)
    # 128 draws per batch spread evenly over ten blocks of the data (labels sorted by class).
    blocks = np.bincount(images[0, :5000] // 6000, minlength=10)
    assert stats.chisquare(blocks).pvalue > 1e-3


def collect_rows(batches: ArrayBatches, epochs: int) -> np.ndarray:
    """Return the rows of whole epochs, [epochs, steps_per_epoch * batch_size]."""
    steps = jnp.arange(epochs * batches.steps_per_epoch)
    return np.asarray(jax.jit(jax.vmap(batches.rows))(steps)).reshape(epochs, -1)


def test_an_epoch_sees_each_example_once_and_the_next_in_another_order():
    batches = ArrayBatches(jnp.arange(100), 10, key=0)
    assert batches.steps_per_epoch == 10
    rows = collect_rows(batches, 3)
    for epoch in rows:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(100))
    assert (rows[0] != rows[1]).mean() > 0.9
    assert (rows[1] != rows[2]).mean() > 0.9


def test_dropping_drops_others_each_time():
    batches = ArrayBatches(jnp.arange(25), 10, key=0)
    assert batches.steps_per_epoch == 2
    rows = collect_rows(batches, 20)
    assert all(len(set(epoch)) == 20 for epoch in rows.tolist())
    assert len(np.unique(rows)) == 25


def test_keeping_fills_up_with_the_first():
    batches = ArrayBatches(jnp.arange(25), 10, key=0, drop_last=False)
    assert batches.steps_per_epoch == 3
    for epoch in collect_rows(batches, 4):
        np.testing.assert_array_equal(np.sort(epoch[:25]), np.arange(25))
        np.testing.assert_array_equal(epoch[25:], epoch[:5])
    assert ArrayBatches(jnp.arange(20), 10, drop_last=False).steps_per_epoch == 2


def test_without_shuffling_the_order_is_kept():
    batches = ArrayBatches(jnp.arange(7) * 2, 3, shuffle=False)
    np.testing.assert_array_equal([batches(s) for s in range(4)], [[0, 2, 4], [6, 8, 10]] * 2)


def test_it_is_a_pure_function_of_the_step():
    images, labels = np.arange(40.0).reshape(20, 2), np.arange(20, dtype=np.uint8)
    batches = ArrayBatches({"x": images, "y": labels}, 4, key=7)
    again = ArrayBatches({"x": images, "y": labels}, 4, key=jax.random.key(7))
    scanned = jax.jit(lambda b: jax.lax.scan(lambda _, s: (None, b(s)), None, jnp.arange(12)))(
        batches
    )[1]
    for step in (11, 0, 5):  # in any order
        batch = again(step)
        assert batch["y"].dtype == jnp.uint8
        np.testing.assert_array_equal(batch["x"][:, 0], 2.0 * batch["y"])
        np.testing.assert_array_equal(scanned["x"][step], batch["x"])
        np.testing.assert_array_equal(scanned["y"][step], batch["y"])
    other = ArrayBatches({"x": images, "y": labels}, 4, key=8)
    assert not np.array_equal(other(0)["y"], batches(0)["y"])


def test_it_is_a_pytree_of_its_arrays():
    batches = ArrayBatches((jnp.zeros((6, 2)), jnp.zeros(6)), 2, key=0)
    arrays, rest = eqx.partition(batches, eqx.is_array)
    assert len(jax.tree.leaves(arrays)) == 3  # two arrays and the key
    np.testing.assert_array_equal(eqx.combine(arrays, rest).rows(4), batches.rows(4))


def test_batches_of_series_are_series():
    series = SeriesBatch.from_arrays(np.arange(3), np.arange(12.0).reshape(4, 3, 1))
    batch = ArrayBatches(series, 2, key=0)(1)
    assert isinstance(batch, SeriesBatch)
    assert batch.ys.shape == (2, 3, 1)


def test_full_batch_is_everything():
    batches = FullBatch({"x": np.arange(3)})
    assert batches.steps_per_epoch == 1
    assert batches.size == 3
    np.testing.assert_array_equal(batches(0)["x"], batches(17)["x"])
    assert isinstance(batches(0)["x"], jax.Array)


@pytest.mark.parametrize(
    ("arrays", "batch_size", "expected"),
    [
        ((np.ones(3), np.ones(4)), 1, "share a leading axis"),
        (np.ones((0, 2)), 1, "n ≥ 1"),
        ((), 1, "no arrays"),
        ((np.ones(3), 2.0), 1, "no leading axis"),
        (np.ones(3), 4, "batch_size=4 exceeds the 3 examples"),
        (np.ones(3), 0, "batch_size=0 must be a positive integer"),
        (np.ones(3), 1.5, "batch_size=1.5 must be a positive integer"),
    ],
)
def test_refusals(arrays, batch_size, expected):
    with pytest.raises(DataError, match=expected):
        ArrayBatches(arrays, batch_size)
