"""`jit` for tests that run a function a few times only: compiled quickly, run slowly."""

import functools

import jax

# As an option of the outermost jit; an inner one must be plain.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
