"""What f closes over: seen anew at every call, differentiated, batched, of any type."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit
from neurode.core.closures import hoist

STRATEGIES = [nd.Direct(), nd.Checkpointed(), nd.Backsolve()]
every_strategy = pytest.mark.parametrize("gradient", STRATEGIES, ids=lambda g: type(g).__name__)
TS = [0.0, 1.0]
run = functools.partial(nd.solve, solver=nd.Midpoint(), stepsize=nd.ConstantSteps(8))
RATE = 1.0  # a global that the tests change


def last(f, y0=1.0, **options):
    return run(f, y0, TS, **options).ys[-1]


def stage_factor(rate):
    """What 8 steps of the midpoint rule make of y' = rate y."""
    h = 1 / 8
    return (1 + h * rate + (h * rate) ** 2 / 2) ** 8


# -- changed between calls -------------------------------------------------------------------------


def test_a_changed_global_changes_the_answer(x64, monkeypatch):
    def f(t, y):
        return RATE * y

    assert_allclose(last(f), stage_factor(1.0))
    monkeypatch.setitem(globals(), "RATE", -2.0)
    assert_allclose(last(f), stage_factor(-2.0))
    monkeypatch.setitem(globals(), "RATE", jnp.array(0.5))
    assert_allclose(last(f), stage_factor(0.5))


def test_changed_cells_arrays_and_attributes_change_the_answer(x64):
    rate = 1.0

    def by_cell(t, y):
        return rate * y

    array = np.array(1.0)

    def by_array(t, y):
        return jnp.asarray(array) * y

    class Holder:
        rate = 1.0

        def __call__(self, t, y):
            return self.rate * y

    holder = Holder()
    for value in (1.0, -2.0, 0.5):
        rate, holder.rate = value, value
        array[...] = value
        for f in (by_cell, by_array, holder):
            assert_allclose(last(f), stage_factor(value))


def test_save_and_norm_are_seen_anew_too(x64):
    factor, bound = 2.0, 1.0
    ts = [0.0, 0.5, 1.0]

    def solve():
        return nd.solve(
            lambda t, y: jnp.cos(9 * t) * y, 1.0, ts, solver=nd.HeunEuler(), rtol=1e-2,
            save=lambda t, y: factor * y, norm=lambda e: bound * abs(e),
        )  # fmt: skip

    before = solve()
    factor = 4.0
    assert_allclose(solve().ys, 2 * before.ys)
    bound = 100.0
    assert solve().stats.num_steps > before.stats.num_steps


def test_custom_rules_that_differ_are_told_apart(x64):
    """Equal values, different derivatives: a compiled solve of one must not serve the other."""

    def field(slope, kind):
        if kind == "jvp":
            custom = jax.custom_jvp(lambda x: -x)
            custom.defjvp(lambda primals, tangents: (-primals[0], -slope * tangents[0]))
        else:
            custom = jax.custom_vjp(lambda x: -x)
            custom.defvjp(lambda x: (-x, None), lambda _, g: (-slope * g,))
        return lambda t, y: custom(y)

    for kind in ("jvp", "vjp"):
        for slope in (1.0, 2.0, 0.0):
            ruled = field(slope, kind)
            found = jax.grad(lambda y, f=ruled: last(f, y))(1.0)
            assert_allclose(found, stage_factor(-slope))


# -- all kinds of values ---------------------------------------------------------------------------


@every_strategy
def test_keys_integers_and_flags_beside_what_is_differentiated(x64, gradient):
    """A random field by a key, an index, a flag: closed over and as arguments, under vmap."""

    def loss(weights, key, index):
        flag = jnp.array(True)

        def f(t, y, other_key, shift):
            noise = jax.random.normal(key, (2,)) + jax.random.bernoulli(other_key, 0.5, (2,))
            return jnp.where(flag, weights[index] * noise * y * shift, y)

        args = (jax.random.fold_in(key, 1), jnp.int32(2))
        return jnp.sum(run(f, jnp.ones(2), TS, args, gradient=gradient).ys[-1])

    weights = jnp.array([0.3, -0.7, 0.2])
    keys = jax.random.split(jax.random.key(0), 3)
    index = jnp.array([0, 1, 1])
    found = jit(jax.vmap(jax.grad(loss), (None, 0, 0)))(weights, keys, index)
    step = 1e-6
    value = jit(jax.vmap(jax.vmap(loss, (None, 0, 0)), (0, None, None)))
    for i in range(3):
        bump = step * jnp.eye(3)[i]
        sides = value(jnp.stack([weights + bump, weights - bump]), keys, index)
        tolerance = 5e-2 if isinstance(gradient, nd.Backsolve) else 1e-7
        assert_allclose(found[:, i], (sides[0] - sides[1]) / (2 * step), rtol=tolerance, atol=1e-9)
    assert (found[0, 1:] == 0).all()


@every_strategy
def test_closures_that_are_batched_and_differentiated(x64, gradient):
    """vmap of grad, grad of vmap, and a Jacobian that batches only the cotangents."""

    def value(a, b, y0):
        return last(lambda t, y: (a * b["x"] + jnp.sin(t) * 0) * y, y0, gradient=gradient)

    a, b, y0 = jnp.array([0.5, -1.0, 2.0]), {"x": jnp.array(0.7)}, jnp.array([1.0, 2.0])
    per_lane = jit(jax.vmap(jax.jacrev(value, (0, 1)), (0, None, None)))(a, b, y0)
    summed = jit(
        jax.jacrev(lambda a, b: jax.vmap(value, (0, None, None))(a, b, y0).sum(0), (0, 1))
    )(a, b)
    rate = np.asarray(a * 0.7)
    h = 1 / 8
    slope = (1 + h * rate + (h * rate) ** 2 / 2) ** 7 * (1 + h * rate)  # d factor / d rate
    tolerance = 3e-2 if isinstance(gradient, nd.Backsolve) else 1e-12
    close = functools.partial(assert_allclose, rtol=tolerance)
    close(per_lane[0], 0.7 * slope[:, None] * y0)
    close(per_lane[1]["x"], a[:, None] * slope[:, None] * y0)
    close(summed[0], (0.7 * slope[:, None] * y0).T)
    close(summed[1]["x"], (a * slope).sum() * y0)


class Net(eqx.Module):
    weight: jax.Array
    activation: callable
    steps: int = eqx.field(static=True)

    def __call__(self, t, y):
        for _ in range(self.steps):
            y = self.activation(self.weight * y)
        return y


def test_f_may_be_any_callable_with_arrays(x64):
    """A Module, a Partial, a bound method, a jitted function, an object: gradients flow to all."""
    inner = jax.jit(lambda w, t, y: jnp.tanh(w * y))
    weight = jnp.array(-0.8)

    def of_module(w):
        return last(Net(w, jnp.tanh, 1))

    def of_method(w):
        return last(Net(w, jnp.tanh, 1).__call__)

    def of_partial(w):
        return last(jax.tree_util.Partial(inner, w))

    def of_functools(w):
        return last(functools.partial(inner, w))

    def of_jitted(w):
        return last(jax.jit(lambda t, y: inner(w, t, y)))

    functions = [of_module, of_method, of_partial, of_functools, of_jitted]
    found = [jax.grad(function)(weight) for function in functions]
    step = 1e-6
    expected = (of_partial(weight + step) - of_partial(weight - step)) / (2 * step)
    assert_allclose(found, np.full(5, expected), rtol=1e-8)
    module = eqx.filter_grad(lambda net: last(net))(Net(weight, jnp.tanh, 1))
    assert_allclose(module.weight, expected, rtol=1e-8)
    partial = jax.grad(lambda p: last(p), allow_int=True)(jax.tree_util.Partial(inner, weight))
    assert_allclose(jax.tree.leaves(partial)[0], expected, rtol=1e-8)


# -- the key of a compiled solve -------------------------------------------------------------------


def codes(*functions):
    example = (jax.ShapeDtypeStruct((2,), jnp.float32),)
    return [hoist(function, example).code for function in functions]


def test_equal_programs_have_equal_keys_and_others_do_not():
    def make(operation, scalar, array, axis=0):
        return lambda y: jnp.sum(jax.nn.silu(operation(y) * scalar + array), axis)

    base = make(jnp.sin, 2.0, jnp.ones(2))
    same = make(jnp.sin, 2.0, jnp.zeros(2))  # arrays are data
    first, second, *others = codes(
        base,
        same,
        make(jnp.cos, 2.0, jnp.ones(2)),
        make(jnp.sin, 3.0, jnp.ones(2)),
        make(jnp.sin, 2.0, jnp.ones((1, 2))),
        make(jnp.sin, 2.0, jnp.ones(2, jnp.float16)),
        lambda y: jnp.sum(jax.nn.silu(jnp.sin(y) * 2.0 + jnp.ones(2)) + 0.0, 0),
    )
    assert first == second
    assert hash(first) == hash(second)
    assert all(first != other for other in others)
    assert len({first, second, *others}) == 1 + len(others)


def test_a_loop_inside_f_is_part_of_the_key():
    def make(length, slope):
        def body(carry, x):
            return jnp.tanh(slope * carry) + x, None

        return lambda y: jax.lax.scan(body, y, jnp.arange(length, dtype=y.dtype))[0]

    first, same, longer, steeper = codes(make(3, 2.0), make(3, 2.0), make(4, 2.0), make(3, 1.0))
    assert first == same
    assert first not in (longer, steeper)


def test_a_hoisted_function_computes_what_the_function_does(x64):
    scale = jnp.array([1.0, 2.0])

    def function(y, bound):
        return {"a": scale * y["x"] + bound[0], "b": bound[1]}

    hoisted = hoist(function, ({"x": jnp.ones(2)},), ((3.0, jnp.arange(2)),))
    leaves = jax.tree.leaves(hoisted)
    assert any(leaf is scale for leaf in leaves)
    found = hoisted({"x": jnp.array([5.0, 6.0])})
    assert_allclose(found["a"], [8.0, 15.0])
    assert_allclose(found["b"], [0, 1])
