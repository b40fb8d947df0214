"""Counts, on the host, how often a vector field is really evaluated and transposed."""

from collections import Counter

import jax
import numpy as np


class Counted:
    """A vector field f(t, y) -> array that counts its evaluations, and their transposes.

    Each goes through a host callback that hands the value on, so that the compiler can neither
    drop an evaluation whose value is used nor add one. Only for single solves (lanes of a vmapped
    loop are evaluated together), and in single precision (callbacks run in threads of their own,
    where a scoped x64 does not hold).
    """

    def __init__(self, f):
        self.f = f
        self.counts = Counter()

        @jax.custom_vjp
        def count(value):
            return self.tick("evaluations", value)

        count.defvjp(
            lambda value: (self.tick("evaluations", value), None),
            lambda _, cotangent: (self.tick("transposes", cotangent),),
        )
        self.count = count

    def __call__(self, t, y, *args):
        return self.count(self.f(t, y, *args))

    def tick(self, name, value):
        def host(value):
            self.counts[name] += 1
            return np.asarray(value)

        shape = jax.ShapeDtypeStruct(value.shape, value.dtype)
        return jax.pure_callback(host, shape, value)

    def during(self, run):
        """run() to its end, and the counts that it caused."""
        before = Counter(self.counts)
        result = jax.block_until_ready(run())
        return result, self.counts - before
