"""The probe: a zero whose gradient is the number of backward evaluations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import neurode as nd
from compiling import jit
from loops.counting import Counted

STRATEGIES = {
    "Direct": nd.Direct(),
    "Checkpointed": nd.Checkpointed(),
    "Backsolve": nd.Backsolve(),
    "Backsolve by another": nd.Backsolve(solver=nd.Bosh3(), rtol=1e-3, atol=1e-3),
}
CASES = {
    "two times": dict(ts=[0.0, 2.0], solver=nd.Bosh3()),
    "inner times": dict(ts=[0.0, 0.3, 0.3, 1.1, 2.0], solver=nd.HeunEuler()),
    "inner times, FSAL": dict(ts=[0.0, 0.3, 0.3, 1.1, 2.0], solver=nd.Bosh3()),
    "constant steps": dict(ts=[0.0, 1.0, 2.0], solver=nd.RK4(), stepsize=nd.ConstantSteps(6)),
}


def swing(t, y):
    return jnp.stack([y[1], -jnp.sin(y[0])])


def last(y0, probe, f, gradient, ts, **options):
    sol = nd.solve(
        f, y0, np.array(ts), probe=probe, gradient=gradient, rtol=1e-2, atol=1e-2, max_steps=64,
        **options,
    )  # fmt: skip
    return jnp.sum(sol.ys[-1]), sol.stats


PAIRS = [
    ("Direct", "two times"),
    ("Direct", "inner times"),
    ("Checkpointed", "two times"),
    ("Checkpointed", "inner times"),
    ("Checkpointed", "inner times, FSAL"),
    ("Checkpointed", "constant steps"),
    ("Backsolve", "inner times"),
    ("Backsolve", "constant steps"),
    ("Backsolve by another", "two times"),
]


@pytest.mark.parametrize(("strategy", "case"), PAIRS)
def test_probe_counts_the_transposes(strategy, case):
    f = Counted(swing)
    loss = functools.partial(last, f=f, gradient=STRATEGIES[strategy], **CASES[case])
    run = jit(jax.grad(loss, (0, 1), has_aux=True))
    y0 = jnp.array([2.0, 0.0])
    (((_, probed), stats), counts) = f.during(lambda: run(y0, 0.0))
    assert counts["transposes"] == probed
    assert probed > 4
    assert counts["evaluations"] >= stats.num_f_evals


@pytest.mark.parametrize("strategy", ["Direct", "Checkpointed", "Backsolve"])
def test_probe_of_each_lane(x64, strategy):
    loss = functools.partial(
        last, f=swing, gradient=STRATEGIES[strategy], ts=[0.0, 2.0], solver=nd.Bosh3()
    )
    y0 = jnp.array([[2.0, 0.0], [0.1, 0.0], [3.0, 9.0]])
    one = jax.grad(lambda y0, probe: loss(y0, probe)[0], 1)
    alone = [one(y, jnp.zeros(())) for y in y0]
    per_lane = jit(jax.vmap(one))(y0, jnp.zeros(3))
    together = jit(
        jax.grad(lambda probe: jnp.sum(jax.vmap(lambda y, p: loss(y, p)[0])(y0, probe)))
    )(jnp.zeros(3))
    assert len(set(np.asarray(alone).tolist())) >= 2
    assert_array_equal(per_lane, alone)
    assert_array_equal(together, alone)


def test_probe_changes_nothing_and_takes_any_precision(x64):
    run = functools.partial(last, f=swing, gradient=nd.Checkpointed(), ts=[0.0, 2.0])
    y0 = jnp.array([2.0, 0.0])
    plain, _ = run(y0, None)
    for probe in (0.0, np.float32(0), jnp.zeros(())):
        assert run(y0, probe)[0] == plain
    found = jax.grad(lambda probe: run(y0, probe)[0])(jnp.float32(0))
    assert found.dtype == jnp.float32
    assert found > 0
