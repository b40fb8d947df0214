"""Vector fields with a structure that some solvers use."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from .trees import add, scale
from .types import Scalar, State


class Split(eqx.Module):
    """f = stiff + nonstiff, for solvers that treat the two parts apart (`KenCarp4`).

    Any other solver takes the sum.

    Args:
        stiff: `stiff(t, y, *args)`, the part that is solved for implicitly.
        nonstiff: `nonstiff(t, y, *args)`, the part that is evaluated explicitly.

    Raises:
        TypeError: when a part is not a function.
    """

    stiff: Callable
    nonstiff: Callable

    def __check_init__(self):
        for name in ("stiff", "nonstiff"):
            _check_function("Split", name, getattr(self, name))

    def __call__(self, t: Scalar, y: State, *args: Any) -> State:
        """dy/dt."""
        return add(self.stiff(t, y, *args), self.nonstiff(t, y, *args))


class Hamiltonian(eqx.Module):
    """A separable Hamiltonian H(q, p) = T(p) + V(q), for symplectic solvers.

    The state is the tuple (q, p), with dq/dt = dH/dp and dp/dt = -dH/dq. Any other solver takes
    that as a field like others.

    Args:
        dH_dp: `dH_dp(t, p, *args)`, the velocity, a pytree like q.
        dH_dq: `dH_dq(t, q, *args)`, minus the force, a pytree like p.

    Raises:
        TypeError: when a part is not a function.
    """

    dH_dp: Callable
    dH_dq: Callable

    def __check_init__(self):
        for name in ("dH_dp", "dH_dq"):
            _check_function("Hamiltonian", name, getattr(self, name))

    def __call__(self, t: Scalar, y: State, *args: Any) -> State:
        """(dq/dt, dp/dt)."""
        q, p = y
        return self.dH_dp(t, p, *args), scale(-1, self.dH_dq(t, q, *args))


def _check_function(kind: str, name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{kind}({name}=...) takes a function, got {value!r}")
