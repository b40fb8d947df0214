"""Time as hi + lo: exact where floating point alone would stand still."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurode.core.clock import advance, resolution, start, until

single = st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-20)


def exact(clock):
    return Fraction(float(clock.hi)) + Fraction(float(clock.lo))


@given(t=single, h=single)
def test_advancing_loses_nothing(t, h):
    clock = advance(start(jnp.float32(t)), jnp.float32(h))
    assert exact(clock) == Fraction(t) + Fraction(h)
    assert clock.hi == np.float32(t) + np.float32(h)


@given(t=single, steps=st.lists(single, min_size=5, max_size=5))
def test_each_step_is_added_to_its_own_precision(t, steps):
    """Not to that of the time: the whole sum is off by less than the steps' own rounding."""
    clock = start(jnp.float32(t))
    for h in steps:
        clock = advance(clock, jnp.float32(h))
    total = sum(map(Fraction, steps), Fraction(t))
    eps = float(np.finfo(np.float32).eps)
    assert abs(float(exact(clock) - total)) <= eps * sum(map(abs, steps))
    assert abs(clock.lo) <= np.spacing(abs(np.float32(clock.hi)))


@given(t=single, h=st.floats(2**-20, 1, width=32))
def test_the_time_until_a_stop_is_seen_below_the_last_place(t, h):
    clock = advance(start(jnp.float32(t)), jnp.float32(h))
    target = jnp.float32(t) + 2
    left = float(until(clock, target))
    assert left == pytest.approx(float(Fraction(float(target)) - exact(clock)), rel=1e-6)


def test_small_steps_never_stall():
    def run(t0):
        ten_thousand = jax.lax.fori_loop(
            0, 10_000, lambda _, clock: advance(clock, jnp.float32(1e-3)), start(t0)
        )
        return until(ten_thousand, t0)

    assert float(jax.jit(run)(jnp.float32(1e6))) == pytest.approx(-10, rel=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("t", [0.0, 1.0, -1e6, 1e30])
def test_resolution_is_a_step_that_still_counts(x64, dtype, t):
    clock = advance(start(dtype(t)), dtype(1) * (t == 0))
    h = resolution(clock.hi)
    assert h > 0
    assert until(advance(clock, h), clock.hi) != until(clock, clock.hi)
    assert h <= 1e-12 * max(abs(t), 1)
