"""Jacobians of a vector field, and linear systems (I - c J) x = b with them.

Three kinds, one interface: `evaluate` a Jacobian, `factorise` I - c J, `solve` with what that
gave. A solver holds a kind and knows nothing else of linear algebra.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..core.types import Scalar
from . import small_systems
from .banded import BlockTridiagonal, banded_from_columns, factorise_banded, solve_banded

FlatField = Callable[[Scalar, jax.Array], jax.Array]
Operator = Callable[[jax.Array], jax.Array]

LARGEST_BYTES = 1 << 30
"""A dense Jacobian with its factorisation may take this much memory."""


class Jacobian(abc.ABC):
    """How the Jacobian of f is evaluated and solved with. States are flat vectors here."""

    @abc.abstractmethod
    def check(self, size: int, itemsize: int) -> None:
        """Refuse a state of this size, in words."""

    @abc.abstractmethod
    def evaluate(self, f: FlatField, t: Scalar, x: jax.Array) -> Any:
        """J = df/dx at (t, x), in the form that `factorise` takes."""

    @abc.abstractmethod
    def factorise(self, jacobian: Any, c: Scalar) -> Any:
        """I - c J, factorised, for a real or complex c."""

    @abc.abstractmethod
    def solve(self, factors: Any, operator: Operator, b: jax.Array) -> jax.Array:
        """x with (I - c J) x = b; `operator` is x -> (I - c J) x."""

    @abc.abstractmethod
    def solve_transposed(self, factors: Any, operator: Operator, b: jax.Array) -> jax.Array:
        """x with (I - c J)^T x = b; `operator` is x -> (I - c J)^T x."""

    @abc.abstractmethod
    def bound(self, f: FlatField, jacobian: Any) -> Scalar:
        """About the largest |eigenvalue| of J; not much less."""

    def coupled(self, count: int) -> "Jacobian":
        """For `count` such systems that depend on each other, their unknowns side by side."""
        del count
        return self

    def sharpened(self, dtype: Any) -> "Jacobian":
        """The same, for systems whose solution is used as it is and not iterated upon."""
        del dtype
        return self

    def operator(self, f: FlatField, jacobian: Any, c: Scalar) -> Operator:
        """x -> (I - c J) x, as `solve` may need it."""
        del f, jacobian, c
        return lambda x: x

    def differentiable_solve(self, factors: Any, operator: Operator) -> Operator:
        """b -> x with operator(x) = b, differentiable in b and in what the operator holds.

        The factorisation is no part of the derivative: that of x is another solve with it.
        """
        factors = lax.stop_gradient(factors)

        def solve(b):
            return lax.custom_linear_solve(
                operator,
                b,
                lambda operator, b: self.solve(factors, operator, b),
                lambda operator, b: self.solve_transposed(factors, operator, b),
            )

        return solve


@dataclass(frozen=True)
class Dense(Jacobian):
    """The whole Jacobian by forward mode, and its LU factorisation.

    For up to some hundred unknowns: n forward derivatives of f per Jacobian, n^3 / 3
    multiplications per factorisation.
    """

    def check(self, size: int, itemsize: int) -> None:
        """The matrix must fit into memory."""
        total = 3 * size * size * itemsize  # the Jacobian, I - c J, and its factors
        if total > LARGEST_BYTES:
            raise ValueError(
                f"a dense Jacobian of {size} unknowns takes {total / 2**30:.1f} GiB: use "
                f"jacobian=nd.MatrixFree(), or nd.Banded(lower, upper) if each derivative "
                f"depends on neighbouring entries only"
            )

    def evaluate(self, f: FlatField, t: Scalar, x: jax.Array) -> jax.Array:
        """By n forward derivatives at once."""
        return jax.jacfwd(lambda x: f(t, x))(x)

    def factorise(self, jacobian: jax.Array, c: Scalar) -> tuple:
        """By LU with partial pivoting."""
        identity = jnp.eye(jacobian.shape[0], dtype=c.dtype)
        matrix = identity - c * _finite_or_nan(jacobian).astype(c.dtype)
        if is_small(matrix):
            return small_systems.factorise(matrix)
        lu, _, permutation = lax.linalg.lu(matrix)
        return lu, permutation

    def solve(self, factors: tuple, operator: Operator, b: jax.Array) -> jax.Array:
        """By two triangular solves."""
        del operator
        if is_small(b):
            return small_systems.solve(factors, b)
        lu, permutation = factors
        column = b[permutation][:, None]
        column = lax.linalg.triangular_solve(
            lu, column, left_side=True, lower=True, unit_diagonal=True
        )
        return lax.linalg.triangular_solve(lu, column, left_side=True)[:, 0]

    def solve_transposed(self, factors: tuple, operator: Operator, b: jax.Array) -> jax.Array:
        """By two triangular solves."""
        del operator
        if is_small(b):
            return small_systems.solve_transposed(factors, b)
        lu, permutation = factors
        column = lax.linalg.triangular_solve(lu, b[:, None], left_side=True, transpose_a=True)
        column = lax.linalg.triangular_solve(
            lu, column, left_side=True, lower=True, unit_diagonal=True, transpose_a=True
        )
        return jnp.zeros_like(b).at[permutation].set(column[:, 0])

    def bound(self, f: FlatField, jacobian: jax.Array) -> Scalar:
        """The largest sum of a row (the norm that belongs to the maximum norm)."""
        del f
        return jnp.max(jnp.sum(jnp.abs(jacobian), axis=1))


@dataclass(frozen=True)
class Banded(Jacobian):
    """A Jacobian that is zero outside a band, as of a PDE in one dimension.

    lower + upper + 1 forward derivatives of f per Jacobian, by Curtis, Powell & Reid's (1974)
    colouring; solved by block cyclic reduction, pivoting within blocks of max(lower, upper) rows,
    which needs the system to be dominated by its diagonal blocks (diffusion and small steps are).
    Order the unknowns so that neighbours stand side by side: of u and v on a grid,
    y0 = stack([u, v], axis=-1), with lower = upper = 2.

    Args:
        lower: df_i/dy_j is zero for j < i - lower; i and j count the entries of the flat state.
        upper: df_i/dy_j is zero for j > i + upper.

    Raises:
        ValueError: for negative widths.
    """

    lower: int
    upper: int

    def __post_init__(self) -> None:
        for name, width in (("lower", self.lower), ("upper", self.upper)):
            if isinstance(width, bool) or not hasattr(width, "__index__") or width < 0:
                raise ValueError(
                    f"Banded({name}=...) takes the number of diagonals on that side, 0 or more, "
                    f"got {width!r}"
                )

    def check(self, size: int, itemsize: int) -> None:
        """The band must lie inside the matrix."""
        del itemsize
        for name, width in (("lower", self.lower), ("upper", self.upper)):
            if width >= size:
                raise ValueError(
                    f"Banded({self.lower}, {self.upper}) does not match the state: {name} must "
                    f"be less than its {size} entries; use jacobian=nd.Dense() for a full matrix"
                )

    def coupled(self, count: int) -> "Banded":
        """As many times the width."""
        return Banded(count * (self.lower + 1) - 1, count * (self.upper + 1) - 1)

    def evaluate(self, f: FlatField, t: Scalar, x: jax.Array) -> jax.Array:
        """Columns that share no row are differentiated together. Rows of the band: [width, n]."""
        width = self.lower + self.upper + 1
        colours = jnp.arange(x.size) % width
        seeds = (colours == jnp.arange(min(width, x.size))[:, None]).astype(x.dtype)
        _, push = jax.linearize(lambda x: f(t, x), x)
        return banded_from_columns(jax.vmap(push)(seeds), self.lower, self.upper)

    def factorise(self, jacobian: jax.Array, c: Scalar) -> BlockTridiagonal:
        """By block cyclic reduction."""
        band = (-c * _finite_or_nan(jacobian).astype(c.dtype)).at[self.upper].add(1)
        return factorise_banded(band, self.lower, self.upper)

    def solve(self, factors: BlockTridiagonal, operator: Operator, b: jax.Array) -> jax.Array:
        """By reduction and substitution."""
        del operator
        return solve_banded(factors, b)

    def solve_transposed(
        self, factors: BlockTridiagonal, operator: Operator, b: jax.Array
    ) -> jax.Array:
        """By the same steps, transposed."""
        del operator
        transpose = jax.linear_transpose(lambda b: solve_banded(factors, b), b)
        return transpose(b)[0]

    def bound(self, f: FlatField, jacobian: jax.Array) -> Scalar:
        """The largest sum of a column (the norm that belongs to the sum norm)."""
        del f
        return jnp.max(jnp.sum(jnp.abs(jacobian), axis=0))


@dataclass(frozen=True)
class MatrixFree(Jacobian):
    """No matrix: a Krylov method, each iteration of which takes forward derivatives of f.

    For large systems without a band, such as PDEs in two dimensions. Where it does not get near
    the solution the step is cut, and the system of a smaller step is easier.

    Args:
        rtol: the relative residual at which it stops inside Newton's iteration. Rosenbrock stages
            and derivatives, which nothing corrects afterwards, take a millionth of it.
        method: "bicgstab" (van der Vorst 1992; a few vectors, two derivatives an iteration) or
            "gmres" (Saad & Schultz 1986; where BiCGStab stagnates, as with strong convection).
            On a 64 x 64 grid BiCGStab took a fifth of the time.
        restart: how many directions GMRES keeps, of the size of the state each.
        max_steps: the largest number of iterations of BiCGStab, or of restarts of GMRES.

    Raises:
        ValueError: for options that cannot work.
    """

    rtol: float = 1e-3
    method: str = "bicgstab"
    restart: int = 20
    max_steps: int = 200

    def __post_init__(self) -> None:
        if self.method not in ("bicgstab", "gmres"):
            raise ValueError(
                f'MatrixFree(method=...) must be "bicgstab" or "gmres", got {self.method!r}'
            )
        if not 0 < self.rtol < 1:
            raise ValueError(f"MatrixFree(rtol=...) must be between 0 and 1, got {self.rtol!r}")
        for name, value in (("restart", self.restart), ("max_steps", self.max_steps)):
            if not value >= 1:
                raise ValueError(f"MatrixFree({name}=...) must be at least 1, got {value!r}")

    def check(self, size: int, itemsize: int) -> None:
        """Any size will do."""
        del size, itemsize

    def evaluate(self, f: FlatField, t: Scalar, x: jax.Array) -> tuple:
        """The point itself."""
        del f
        return t, x

    def factorise(self, jacobian: tuple, c: Scalar) -> None:
        """There is nothing to factorise."""
        del jacobian, c

    def solve(self, factors: None, operator: Operator, b: jax.Array) -> jax.Array:
        """The solution; NaN, so that the step is cut, where the method did not get near it."""
        del factors
        x = (self._bicgstab if self.method == "bicgstab" else self._gmres)(operator, b)
        is_near = jnp.linalg.norm(operator(x) - b) <= 10 * self.rtol * jnp.linalg.norm(b)
        return jnp.where(is_near, x, jnp.nan)

    def _bicgstab(self, operator: Operator, b: jax.Array) -> jax.Array:
        from jax.scipy.sparse.linalg import bicgstab  # slow to import

        # Not lineax's, which divides 0 by 0 where it meets the solution exactly, as for J = 0.
        return bicgstab(operator, b, tol=self.rtol, maxiter=self.max_steps)[0]

    def _gmres(self, operator: Operator, b: jax.Array) -> jax.Array:
        import lineax as lx  # for this method alone

        size = jnp.sqrt(jnp.mean(b**2))
        is_zero = size == 0
        # Of unit size, since lineax holds each component's residual against the tolerance.
        unit = jnp.where(is_zero, 1, b / jnp.where(is_zero, 1, size))
        restart = min(self.restart, b.size)
        gmres = lx.GMRES(0.0, self.rtol, restart=restart, max_steps=self.max_steps)
        matrix = lx.FunctionLinearOperator(operator, jax.eval_shape(lambda: b))
        return size * lx.linear_solve(matrix, unit, gmres, throw=False).value

    def sharpened(self, dtype: Any) -> "MatrixFree":
        """A millionth of the residual, if the dtype can show it."""
        return replace(self, rtol=max(1e-6 * self.rtol, 100 * float(jnp.finfo(dtype).eps)))

    def solve_transposed(self, factors: None, operator: Operator, b: jax.Array) -> jax.Array:
        """With the transposed operator."""
        return self.solve(factors, operator, b)

    def bound(self, f: FlatField, jacobian: tuple) -> Scalar:
        """By four steps of the power method, from a vector of alternating signs."""
        t, x = jacobian
        _, push = jax.linearize(lambda x: f(t, x), x)
        v = jnp.where(jnp.arange(x.size) % 2 == 0, 1, -1).astype(x.dtype)
        size = jnp.ones((), x.dtype)
        for _ in range(4):
            v = push(v / jnp.where(size == 0, 1, size))
            size = jnp.linalg.norm(v)
        return size

    def operator(self, f: FlatField, jacobian: tuple, c: Scalar) -> Operator:
        """By forward derivatives at the point."""
        t, x = jacobian
        _, push = jax.linearize(lambda x: f(t, x), x)
        if jnp.iscomplexobj(c):
            return lambda v: v - c * lax.complex(push(v.real), push(v.imag))
        return lambda v: v - c * push(v)


def is_small(x: jax.Array) -> bool:
    """Whether a state, or a matrix, has so few unknowns that its systems are written out."""
    return len(x) <= small_systems.LARGEST


def _finite_or_nan(jacobian: jax.Array) -> jax.Array:
    """The Jacobian, or NaN throughout: divided by an infinity, any residual would seem solved."""
    return jnp.where(jnp.all(jnp.isfinite(jacobian)), jacobian, jnp.nan)


def implicit_operator(f: FlatField, t: Scalar, x: jax.Array, c: Scalar) -> Operator:
    """v -> (I - c J) v with J at (t, x), differentiable in everything."""
    _, push = jax.linearize(lambda x: f(t, x), x)
    return lambda v: v - c * push(v)
