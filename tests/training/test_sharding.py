"""Two devices train to the weights of one; what cannot be split is refused."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from neurode.training.sharding import check_batches, checked_mesh

TWO_DEVICES = """
import sys; sys.path.insert(0, sys.argv[1])
import equinox as eqx, jax, jax.numpy as jnp, numpy as np, regression
from neurode.training.sharding import checked_mesh, replicate
from neurode.training.state import Problem, advance, split_model, start_state

mesh = jax.make_mesh((2,), ("data",))
one = regression.train(None, steps=200)
two = regression.train(None, steps=200, mesh=mesh)
for a, b in zip(*(jax.tree.leaves(eqx.filter(r.model, eqx.is_array)) for r in (one, two))):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    assert len(b.sharding.device_set) == 1
np.testing.assert_allclose(one.history["loss"], two.history["loss"], rtol=1e-4)

# The rows do live on both devices: gradients are summed over them.
mesh = checked_mesh(mesh)
params, frozen = split_model(regression.MODEL, None)
parts = (regression.objective, regression.OPTIMIZER, frozen, regression.BATCHES, regression.KEY)
problem = Problem(*replicate(parts, mesh), mesh=mesh)
state = replicate(start_state(params, regression.OPTIMIZER), mesh)
counts = (np.int32(1), np.int32(0))
text = advance.lower((problem, *counts), state).compile().compiled.as_text()
assert "all-reduce" in text and "f32[8,2]" in text and "num_partitions=2" in text

# Killed and resumed on two devices: bit for bit.
regression.train(sys.argv[2], steps=90, mesh=mesh)
again = regression.train(sys.argv[2], steps=200, mesh=mesh)
assert eqx.tree_equal(again.model, two.model)

try:
    regression.train(None, batches=regression.make_batches(size=15), mesh=mesh)
except ValueError as error:
    assert "15 rows does not divide by the 2 devices" in str(error), error
else:
    raise AssertionError("15 rows were split over 2 devices")
print("fine")
"""


def test_two_devices_equal_one(tmp_path):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    command = [sys.executable, "-c", TWO_DEVICES, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_one_device_is_a_mesh_too(regression):
    mesh = jax.make_mesh((1,), ("data",))
    result = regression.train(None, steps=5, mesh=mesh)
    assert result.steps_done == 5


def test_the_mesh_needs_a_data_axis(regression):
    with pytest.raises(ValueError, match="none named 'data'"):
        checked_mesh(jax.make_mesh((1,), ("batch",)))


def test_arrays_of_different_lengths_need_a_stated_batch_size():
    class Ragged:
        batch_size = None

        def __call__(self, step):
            return jax.numpy.zeros((4, 2)), jax.numpy.zeros(7)

    mesh = checked_mesh(jax.make_mesh((1,), ("data",)))
    with pytest.raises(ValueError, match=r"\[4, 7\].*batch_size"):
        check_batches(Ragged(), mesh)
    Ragged.batch_size = 4
    check_batches(Ragged(), mesh)
