"""Lanes split over two devices: the answers and gradients of one, also of what all lanes share."""

import os
import subprocess
import sys

TWO_DEVICES = """
import functools
import jax, jax.numpy as jnp, numpy as np
import neurode as nd

def one(y0, rate, capacity, gradient):
    sol = nd.solve(
        lambda t, y, rate: rate * y * (1 - y / capacity), y0, np.array([0.0, 0.6, 1.5]), (rate,),
        solver=nd.HeunEuler(), max_steps=100, gradient=gradient,
    )
    return jnp.sum(jnp.sin(sol.ys))

spec, alike = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
args = jnp.array([[0.1], [0.3], [0.6], [0.9]]), jnp.float32(1.3), jnp.array([2.0])

def gradient(run):
    return jax.jit(jax.grad(lambda *args: jnp.sum(run(*args)), (0, 1, 2)))(*args)

for strategy in (nd.Checkpointed(), nd.Backsolve()):
    many = jax.vmap(functools.partial(one, gradient=strategy), (0, None, None))
    split = jax.shard_map(many, mesh=mesh, in_specs=(spec, alike, alike), out_specs=spec)
    for a, b in zip(gradient(split), gradient(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
print("fine")
"""


def test_two_devices_give_the_answers_of_one():
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    command = [sys.executable, "-c", TWO_DEVICES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
