"""Stretches and crops: parts of series, as a pure function of the step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neurode.estimators.crops import CroppedSeries, SeriesRows, Stretches


def make_rows():
    ts = jnp.stack([jnp.arange(20.0), jnp.minimum(jnp.arange(20.0), 4.0)])
    ys = jnp.stack([10 * ts, 10 * ts], axis=-1)
    mask = jnp.stack([jnp.ones((20, 2), bool), (jnp.arange(20) < 5)[:, None] & jnp.ones(2, bool)])
    return SeriesRows(ts, ys, mask), np.array([20, 5])


def test_stretches():
    rows, lengths = make_rows()
    batches = Stretches.cut(rows, lengths, 6, None, jax.random.key(0))
    assert batches.steps_per_epoch == 1
    begins, compiled = set(), eqx.filter_jit(batches)
    for step in range(30):
        found = compiled(step)
        assert found.ts.shape == (5, 6)  # four of the long series, one of the short
        assert (found.ts[:, 0] == 0).all()
        begins |= set(np.asarray(found.ys[:4, 0, 0] / 10).tolist())
        np.testing.assert_allclose(np.diff(found.ts[:4], axis=1), 1)
        assert found.mask[4].sum() == 10
        assert (found.ts[4, 5:] == 4).all()
    assert begins == set(range(15))
    again = batches(3)
    np.testing.assert_array_equal(again.ys, batches(3).ys)


def test_crops():
    rows, lengths = make_rows()
    stretches = Stretches.cut(rows, lengths, 20, None, jax.random.key(0))
    whole = CroppedSeries(stretches, jax.random.key(1), 1.0, 10)(0)
    np.testing.assert_array_equal(whole.seen, whole.scored)
    assert (whole.first == 0).all()
    assert whole.kl_weight == np.float32(0.1)
    batches = CroppedSeries(stretches, jax.random.key(1), 0.4, 10, kl_weight=0.5)
    assert batches(100).kl_weight == 0.5
    late = early = 0
    batches = eqx.filter_jit(batches)
    for step in range(60):
        crops = batches(step)
        ts, seen = np.asarray(crops.ts), np.asarray(crops.seen[..., 0])
        assert (seen <= np.asarray(crops.scored[..., 0])).all()
        for i, length in enumerate(lengths):
            times = ts[i, seen[i]]
            assert times[0] == ts[i, crops.first[i]]
            # an interval of this length holds at least so many whole numbers
            assert len(times) >= np.floor(0.4 * (length - 1))
            late += times[0] > 0
            early += times[-1] < length - 1
    assert 40 < late < 80
    assert 30 < early < 80
