"""What all estimators share: scikit-learn's manners, and how their arguments are read."""

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neurode.gradients.gradient import GradientStrategy
from neurode.solvers.solver import Solver


class SettingError(ValueError):
    """An argument of an estimator that cannot be; the message says which, its value, and why."""


class IdentifiabilityWarning(UserWarning):
    """The data do not determine all parameters; the message names those they do not."""


class Estimator(BaseEstimator):
    """The base of all estimators: parameters are set when it is made and checked by `fit`."""

    def save(self, path: str | Path) -> Path:
        """Write the fitted model; `nd.load(path)` reads it. A function of the user's is not in it.

        Args:
            path: a folder, in which model.safetensors is written, or a *.safetensors file.

        Returns:
            The file written.

        Raises:
            NotFittedError: before `fit`.
            SaveError: it could not be written; a model that was there before still is.
        """
        self._check_fitted()
        return self._write(path)

    @abc.abstractmethod
    def _write(self, path: str | Path) -> Path:
        """Write the fitted model."""

    def _check_fitted(self) -> None:
        """Raise scikit-learn's NotFittedError before `fit`."""
        check_is_fitted(self, "names_")

    def _key(self) -> Key[Array, ""]:
        """The typed key that `random_state` stands for."""
        return as_key(getattr(self, "random_state", 0))


def as_key(state: Any) -> Key[Array, ""]:
    """The typed key that a `random_state` stands for; None draws one, a NumPy generator too.

    Raises:
        SettingError: it is no whole number, generator, key or None.
    """
    if state is None:
        return jax.random.key(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(state, jax.Array) and jax.numpy.issubdtype(state.dtype, jax.dtypes.prng_key):
        return state
    if isinstance(state, (int, np.integer)) and not isinstance(state, bool):
        return jax.random.key(int(state))
    if isinstance(state, np.random.RandomState):
        return jax.random.key(state.randint(2**31))
    if isinstance(state, np.random.Generator):
        return jax.random.key(int(state.integers(2**31)))
    raise SettingError(
        "random_state must be a whole number, a typed JAX key, a NumPy generator or None, got "
        f"{state!r}"
    )


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuse a setting that is not among its choices."""
    if not any(value is choice or value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise SettingError(f"{name} must be one of {listed}, got {value!r}")


def check_number(name: str, value: Any, *, least: float, whole: bool = False) -> None:
    """Refuse a setting that is not a finite number of at least `least` (above it, unless whole)."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value < least:
        kind = "whole number" if whole else "number"
        raise SettingError(f"{name} must be a {kind} of at least {least:g}, got {value!r}")


def check_solving(estimator: Any, gradient: str, *, or_none: bool = False) -> None:
    """Refuse a `solver` or a `gradient` that is not one.

    Args:
        estimator: with both.
        gradient: an example, for the message.
        or_none: whether None may stand for a default.
    """
    for name, kind, example in (
        ("solver", Solver, "nd.Tsit5()"),
        ("gradient", GradientStrategy, gradient),
    ):
        got = getattr(estimator, name)
        if not isinstance(got, kind) and not (or_none and got is None):
            also = "None or " if or_none else ""
            raise SettingError(f"{name} must be {also}an instance such as {example}, got {got!r}")


def check_adaptive(solver: Solver | None) -> None:
    """Refuse a solver that cannot choose its own steps."""
    if solver is not None and solver.error_order is None:
        raise SettingError(
            f"solver={type(solver).__name__}() has no error estimate to choose its steps by; "
            "take an adaptive one such as nd.Tsit5()"
        )
