"""Programs that run once, on a handful of pixels: compiled, and given weights, at little cost."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

OPTIONS = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 0}


def quick_jit(function, **options):
    """`jax.jit` that spends no time on optimisation. Modules' arrays become constants."""
    return jax.jit(lambda *args: function(*args), compiler_options=OPTIONS, **options)


def build(make, seed=0, scale=0.3):
    """A module made by `make()`, with normal random numbers for weights; nothing is compiled."""
    shapes = eqx.filter_eval_shape(make)
    draw = np.random.default_rng(seed).normal

    def fill(leaf):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        return jnp.asarray(scale * draw(size=leaf.shape), leaf.dtype)

    return jax.tree.map(fill, shapes)
