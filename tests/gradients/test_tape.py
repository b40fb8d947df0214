"""Checkpointed in little memory: fewer slots than steps change no derivative."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit
from loops.counting import Counted
from neurode.loops.tape import blank_tape, has_room, longest_stride, make_room, tape_slots, write

STATE_BYTES = 16
MAX_STEPS = 130


def loss(p, rtol, slots=None, throw=True):
    memory = None if slots is None else slots * STATE_BYTES
    sol = nd.solve(
        lambda t, y: jnp.array([y[1], -p["a"] * jnp.sin(y[0])]), p["y0"], p["ts"],
        solver=nd.HeunEuler(), rtol=rtol, atol=rtol, max_steps=MAX_STEPS, throw=throw,
        gradient=nd.Checkpointed(max_memory=memory),
    )  # fmt: skip
    return jnp.sum(sol.ys**2), sol.stats.num_accepted


@functools.cache
def gradient(slots):
    return jit(jax.value_and_grad(functools.partial(loss, slots=slots), has_aux=True))


@pytest.mark.parametrize("slots", [1, 2, 6])
def test_few_slots_give_the_same_gradient(x64, slots):
    p = {"y0": jnp.array([1.0, 0.0]), "a": jnp.array(1.3), "ts": jnp.array([0.0, 0.3, 1.0, 1.9])}
    seen = set()
    for rtol in (0.1, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4):
        (_, steps), expected = gradient(None)(p, rtol)
        (_, again), found = gradient(slots)(p, rtol)
        assert steps == again
        seen.add(longest_stride(int(steps), max(slots, 2)))
        jax.tree.map(functools.partial(assert_allclose, rtol=1e-12, atol=1e-13), found, expected)
    assert len(seen) >= 4, seen  # strides 2, 4, 8 ... have all been through


def test_few_slots_under_vmap(x64):
    """Lanes with strides of their own."""
    y0 = jnp.array([[1.0, 0.0], [0.1, 0.0], [3.0, 2.0]])
    rtol = jnp.array([1e-1, 1e-3, 1e-4])
    p = {"a": jnp.array(1.3), "ts": jnp.array([0.0, 0.3, 1.0, 1.9])}
    one = jax.value_and_grad(functools.partial(loss, slots=2), has_aux=True)
    lanes = jit(jax.vmap(lambda y0, rtol: one(p | {"y0": y0}, rtol)))(y0, rtol)
    (_, steps), found = lanes
    assert len(set(steps.tolist())) == 3
    for i in range(3):
        _, expected = gradient(None)(p | {"y0": y0[i]}, rtol[i])
        for name in expected:
            assert_allclose(found[name][i], expected[name], rtol=1e-11, atol=1e-12)


def test_memory_follows_the_number_of_slots():
    state = jnp.zeros(1000, jnp.float32)

    def temporaries(**options):
        def last(y0):
            sol = nd.solve(
                lambda t, y: -jnp.sin(y), y0, [0.0, 1.0], solver=nd.HeunEuler(), max_steps=4096,
                gradient=nd.Checkpointed(**options),
            )  # fmt: skip
            return sol.ys[-1].sum()

        return jit(jax.grad(last)).lower(state).compile().memory_analysis().temp_size_in_bytes

    # By default twice the square root of 4,096 states, and a few beside them.
    assert 2 * 64 * state.nbytes < temporaries() < 4 * 64 * state.nbytes
    assert temporaries(max_memory=4096 * state.nbytes) > 4096 * state.nbytes


@pytest.mark.parametrize(
    ("max_steps", "max_bytes", "slots"),
    [
        (100, None, 100),
        (4096, None, 4096),
        (10**6, None, 4096),
        (100, 160, 10),
        (100, 1, 2),
        (1, 1, 1),
    ],
)
def test_slots_fit_the_budget(max_steps, max_bytes, slots):
    state = jnp.zeros(2, jnp.float64 if jax.config.jax_enable_x64 else jnp.complex64)
    found = tape_slots(state, max_steps, max_bytes)
    assert found == slots
    assert found * longest_stride(max_steps, found) >= max_steps


@pytest.mark.parametrize("slots", [2, 4, 6])
def test_the_tape_keeps_every_stride_th_state(slots):
    tape = blank_tape(jnp.float32(0), slots)
    for step in range(40):
        tape = make_room(tape, slots, jnp.int32(step))
        assert has_room(tape, slots, jnp.int32(step))
        tape = write(tape, slots, jnp.int32(step), jnp.float32(-1), True)  # a rejected attempt
        tape = write(tape, slots, jnp.int32(step), jnp.float32(step), True)
        stride = int(tape.stride)
        kept = np.asarray(tape.states)[: step // stride + 1]
        np.testing.assert_array_equal(kept, np.arange(0, step + 1, stride))
    assert stride >= 40 / slots


@pytest.mark.parametrize("slots", [None, 2])
def test_each_step_is_transposed_once(slots):
    """Whatever was dropped is computed again, but nothing is differentiated twice."""
    f = Counted(lambda t, y: -jnp.sin(y))

    def last(y0):
        memory = None if slots is None else 4 * slots
        sol = nd.solve(
            f, y0, [0.0, 2.0], solver=nd.HeunEuler(), rtol=1e-2, max_steps=64,
            gradient=nd.Checkpointed(max_memory=memory),
        )  # fmt: skip
        return sol.ys[-1], sol.stats

    run = jit(jax.value_and_grad(last, has_aux=True))
    ((_, stats), _), counts = f.during(lambda: run(jnp.float32(1)))
    steps = int(stats.num_accepted)
    assert counts["transposes"] == 2 * steps
    backward = counts["evaluations"] - int(stats.num_f_evals)
    assert backward <= (2 if slots is None else 4) * steps
