"""The arguments of `solve`: read, checked, and refused in words."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..core.closures import Hoisted, hoist, output_shape
from ..core.fields import Hamiltonian, Split
from ..core.norms import Tolerance
from ..core.solution import Resume
from ..core.status import SolveError
from ..core.trees import is_differentiable, real_dtype, tree_map
from ..gradients.gradient import GradientStrategy
from ..solvers.solver import Solver
from ..stepping.controller import StepController

keystr = jax.tree_util.keystr


def check_options(solver, stepsize, gradient, dense, save, norm, max_steps, throw) -> None:
    """Solver, controller, gradient and flags: of the right kind, and fitting together."""
    for name, value, kind, example in (
        ("solver", solver, Solver, "Tsit5()"),
        ("stepsize", stepsize, StepController, "IController()"),
        ("gradient", gradient, GradientStrategy, "Checkpointed()"),
    ):
        if not isinstance(value, kind):
            hint = f"write {name}=nd.{example}"
            if callable(value) and hasattr(value, "__name__"):
                hint = f"write {name}=nd.{value.__name__}(), with parentheses"
            raise TypeError(
                f"{name} must be an instance such as nd.{example}, got {value!r}; {hint}"
            )
    if isinstance(max_steps, bool) or not hasattr(max_steps, "__index__"):
        raise TypeError(f"max_steps must be a whole number, got {max_steps!r}")
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps}")
    for name, value in (("dense", dense), ("throw", throw)):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, got {value!r}")
    for name, value in (("save", save), ("norm", norm)):
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be a function or None, got {value!r}")
    if stepsize.adaptive and solver.error_order is None:
        raise ValueError(
            f"{type(solver).__name__}() has no error estimate and cannot choose its own step "
            f"size: give it fixed steps with stepsize=nd.ConstantSteps(n) or nd.StepTo(grid), "
            f"or use an adaptive solver such as nd.Tsit5()"
        )


def check_args(args: Any) -> None:
    """Exactly a tuple: anything else would be splatted by mistake."""
    if type(args) is not tuple:
        raise TypeError(
            f"args must be a tuple, got {type(args).__name__}: write args=(p,) for a single "
            f"argument p, so that f is called as f(t, y, p)"
        )


def read_state(y0: Any) -> Any:
    """y0 as a pytree of real or complex arrays; whole numbers become floats."""
    leaves = jax.tree_util.tree_leaves_with_path(y0)
    if not leaves:
        raise ValueError(f"y0 must hold at least one array, got {y0!r}")

    def leaf(path, x):
        where = f"y0{keystr(path)}"
        x = as_numbers(where, x)
        if jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool:
            x = x.astype(jnp.result_type(float))
        if not is_differentiable(x):
            raise TypeError(f"{where} must be an array of numbers, got dtype {x.dtype}")
        if _is_concrete(x) and not np.isfinite(np.asarray(x, _numpy_dtype(x))).all():
            raise ValueError(f"{where} holds NaN or infinite values: {np.asarray(x)!r}")
        # A weak type (a Python number's) would be promoted inside the loop.
        return jax.lax.convert_element_type(x, x.dtype)

    result = jax.tree_util.tree_map_with_path(leaf, y0)
    if sum(x.size for x in jax.tree_util.tree_leaves(result)) == 0:
        raise ValueError(f"y0 is empty: its arrays have shapes {tree_map(jnp.shape, result)}")
    return result


def _numpy_dtype(x: jax.Array) -> Any:
    """A dtype that NumPy can test for finiteness (it cannot for bfloat16)."""
    return complex if jnp.issubdtype(x.dtype, jnp.complexfloating) else float


def read_times(ts: Any, y0: Any) -> jax.Array:
    """The save times as a float array of at least two sorted entries."""
    ts = as_numbers("ts", ts)
    if ts.ndim != 1 or ts.shape[0] < 2:
        raise ValueError(
            f"ts must be one-dimensional with at least two times (the first is t0, the last is "
            f"t1), got shape {ts.shape}; write ts=[t0, t1]"
        )
    is_float = jnp.issubdtype(ts.dtype, jnp.floating)
    if not is_float and not jnp.issubdtype(ts.dtype, jnp.integer):
        raise TypeError(f"ts must hold real numbers, got dtype {ts.dtype}")
    widths = [real_dtype(x) for x in jax.tree_util.tree_leaves(y0)]
    dtype = jnp.result_type(jnp.float32, *widths, ts.dtype if is_float else jnp.float32)
    ts = jax.lax.convert_element_type(ts, dtype)
    if _is_concrete(ts):
        values = np.asarray(ts)
        if not np.isfinite(values).all():
            raise ValueError(f"ts holds NaN or infinite times: {values}")
        differences = np.diff(values)
        if (differences > 0).any() and (differences < 0).any():
            at = int(np.argmax(differences * np.sign(values[-1] - values[0] or 1.0) < 0))
            raise ValueError(
                f"ts must be sorted (non-decreasing, or non-increasing to solve backwards), but "
                f"ts[{at}]={values[at]:.6g} is followed by ts[{at + 1}]={values[at + 1]:.6g}; "
                f"sort it"
            )
    return ts


def read_tolerance(name: str, value: Any, y0: Any, dtype: Any) -> Any:
    """A tolerance per leaf of y0."""
    treedef = jax.tree_util.tree_structure(y0)
    leaves = jax.tree_util.tree_leaves(value)
    if jax.tree_util.treedef_is_leaf(jax.tree_util.tree_structure(value)) and not (
        jax.tree_util.treedef_is_leaf(treedef)
    ):
        leaves = leaves * treedef.num_leaves
    elif jax.tree_util.tree_structure(value) != treedef:
        raise ValueError(
            f"{name} must be a number or a pytree matching y0 ({treedef}), got {value!r}"
        )
    result = []
    for leaf, y in zip(leaves, jax.tree_util.tree_leaves(y0), strict=True):
        array = as_numbers(name, leaf, dtype)
        if _is_concrete(array):
            _check_tolerance(name, np.asarray(array))
        if not _fits(array.shape, y.shape):
            raise ValueError(
                f"{name} has shape {array.shape}, which does not fit y0's {y.shape}; give a "
                f"number, or one tolerance per entry"
            )
        result.append(array)
    return jax.tree_util.tree_unflatten(treedef, result)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the target without enlarging it."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def _check_tolerance(name: str, value: np.ndarray) -> None:
    lowest = value.min() if value.size else 0.0
    if np.isnan(value).any() or lowest < 0:
        raise ValueError(f"{name} must not be negative or NaN, got {value}; write {name}=1e-6, say")
    if name == "rtol" and not np.isfinite(value).all():
        raise ValueError(
            f"rtol must be finite, got {value}; to leave a leaf uncontrolled set its atol to inf"
        )


def read_tolerances(rtol: Any, atol: Any, y0: Any, dtype: Any) -> Tolerance:
    """Both tolerances, of which not both may be zero."""
    tolerance = Tolerance(
        read_tolerance("rtol", rtol, y0, dtype), read_tolerance("atol", atol, y0, dtype)
    )
    for r, a in zip(*map(jax.tree_util.tree_leaves, tolerance), strict=True):
        if _is_concrete(r) and _is_concrete(a) and not np.all(np.asarray(r) + np.asarray(a) > 0):
            raise ValueError(
                f"rtol and atol must not both be zero, got rtol={rtol} and atol={atol}; "
                f"write atol=1e-9, say"
            )
    return tolerance


def read_resume(resume: Any, solver: Solver, field: Any, y0: Any, ts: jax.Array) -> Any:
    """The state of an earlier solve, in the dtypes of this one.

    Its history is refused where it has other shapes than the solver's own.
    """
    if resume is None:
        return None
    if not isinstance(resume, Resume):
        raise TypeError(
            f"resume must be the .resume of an earlier solution, got {type(resume).__name__}; "
            f"write resume=sol.resume"
        )
    fresh = jax.eval_shape(lambda: solver.memory(solver.start(field, ts[0], y0)))
    shapes = [jax.tree_util.tree_map(jnp.shape, tree) for tree in (resume.memory, fresh)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"resume= holds the history of another solver or another state than "
            f"{type(solver).__name__}() with this y0: leave it out, to start anew"
        )
    as_time = lambda x: x.astype(ts.dtype) if is_differentiable(x) else x  # noqa: E731
    return Resume(
        time=as_time(resume.time),
        direction=as_time(resume.direction),
        step_size=as_time(resume.step_size),
        controller_state=tree_map(as_time, resume.controller_state),
        memory=tree_map(lambda old, new: old.astype(new.dtype), resume.memory, fresh),
        mark=resume.mark,
    )


def read_probe(probe: Any) -> jax.Array:
    """The probe as a scalar float array."""
    probe = as_numbers("probe", probe)
    if probe.shape != () or not is_differentiable(probe):
        raise TypeError(f"probe must be a float scalar such as 0.0, got {probe!r}")
    return probe


def as_numbers(name: str, value: Any, dtype: Any = None) -> jax.Array:
    """An array, or an error that names what should have been one."""
    try:
        if isinstance(value, str):  # JAX would read it as the name of a dtype
            raise TypeError("text")
        return jnp.asarray(value, dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number or an array of numbers, got {value!r}") from error


def read_controller(stepsize: StepController, dtype: Any) -> StepController:
    """The controller with its numbers and times as arrays, so that their values compile nothing."""
    arrays = {
        name: None if value is None else as_numbers(name, value, dtype)
        for name, value in stepsize.limits._asdict().items()
    }
    for name, array in arrays.items():
        rank = 1 if name in ("step_at", "jump_at") else 0
        if array is not None and array.ndim != rank:
            kind = "a sequence of times" if rank else "a number"
            raise ValueError(f"{name} must be {kind}, got shape {array.shape}")
    return eqx.tree_at(
        lambda controller: controller.limits,
        stepsize,
        stepsize.limits._replace(**arrays),
        is_leaf=lambda x: x is None,
    )


def as_arrays(tree: Any, dtype: Any) -> Any:
    """Numbers among the leaves as arrays."""
    return tree_map(lambda x: jnp.asarray(x, dtype) if isinstance(x, (int, float)) else x, tree)


def hoist_field(f: Callable, time: Any, state: Any, args: tuple) -> Callable:
    """f with its arguments and all that it closes over as data; its result checked and cast.

    A field with a structure keeps it: each of its parts is hoisted.
    """
    if not callable(f):
        raise TypeError(f"f must be a function f(t, y, *args), got {f!r}")
    if isinstance(f, Split):
        parts = (hoist_part(part, time, state, args) for part in (f.stiff, f.nonstiff))
        return Split(*parts)
    if isinstance(f, Hamiltonian):
        if not isinstance(state, tuple) or len(state) != 2:
            raise TypeError(
                f"a Hamiltonian's state is the tuple (q, p) of positions and momenta: write "
                f"y0=(q0, p0), got {jax.tree_util.tree_structure(state)}"
            )
        q, p = state
        return Hamiltonian(
            hoist_part(f.dH_dp, time, p, args, like=q), hoist_part(f.dH_dq, time, q, args, like=p)
        )
    return hoist_part(f, time, state, args)


def hoist_part(f: Callable, time: Any, state: Any, args: tuple, like: Any = None) -> Hoisted:
    """One function of (t, state, *args), with a result like the state, or like `like`."""
    like = state if like is None else like
    if like is state:
        return hoist(_checked_field, (time, state), (f, args), reuse=isinstance(f, eqx.Module))
    return hoist(lambda t, y: _cast_like(_call(f, t, y, *args), like), (time, state))


def _checked_field(t: Any, y: Any, f: Callable, args: tuple) -> Any:
    return _cast_like(_call(f, t, y, *args), y)


def _call(f: Callable, t: Any, y: Any, *args: Any) -> Any:
    try:
        return f(t, y, *args)
    except Exception as error:
        shapes = tree_map(lambda x: f"{x.dtype}{list(x.shape)}", y)
        raise SolveError(
            f"f raised {type(error).__name__} when called as f(t, y, *args) with "
            f"{len(args)} further argument(s) and y: {shapes}: {error}"
        ) from error


def _cast_like(dy: Any, y: Any) -> Any:
    """dy with y's structure, shapes and dtypes, or an error that says what differs."""
    if dy is None:
        raise TypeError(
            "f returned None: it must return dy/dt, a pytree like y (a missing return?)"
        )
    expected, got = jax.tree_util.tree_structure(y), jax.tree_util.tree_structure(dy)
    if expected != got:
        raise ValueError(f"f must return a pytree like y: expected {expected}, got {got}")

    def leaf(path, d, x):
        where = f"f(t, y){keystr(path)}"
        d = as_numbers(where, d)
        if d.shape != x.shape:
            raise ValueError(
                f"{where} has shape {d.shape}, but y{keystr(path)} has shape {x.shape}: "
                f"f must return one derivative per entry of y"
            )
        is_complex = jnp.issubdtype(d.dtype, jnp.complexfloating)
        if is_complex and not jnp.issubdtype(x.dtype, jnp.complexfloating):
            raise TypeError(
                f"{where} is complex but y{keystr(path)} is {x.dtype}: make y0 complex, or "
                f"return a real part"
            )
        if not jnp.issubdtype(d.dtype, jnp.number) and d.dtype != bool:
            raise TypeError(f"{where} must hold numbers, got dtype {d.dtype}")
        return d.astype(x.dtype)

    return jax.tree_util.tree_map_with_path(leaf, dy, y)


def hoist_save(save: Callable, time: Any, state: Any) -> Hoisted:
    """save(t, y) with all that it closes over as data."""
    hoisted = hoist(_checked_save, (time, state), (save,))
    for shape in jax.tree_util.tree_leaves(output_shape(hoisted)):
        if not is_differentiable(shape):
            raise TypeError(f"save must return real or complex arrays, got dtype {shape.dtype}")
    return hoisted


def _checked_save(t: Any, y: Any, save: Callable) -> Any:
    try:
        value = save(t, y)
    except Exception as error:
        raise SolveError(
            f"save raised {type(error).__name__} when called as save(t, y): {error}"
        ) from error
    if not jax.tree_util.tree_leaves(value):
        raise TypeError(f"save must return at least one array, got {value!r} (a missing return?)")
    return tree_map(lambda x: as_numbers("what save returns", x), value)


def hoist_norm(norm: Callable, state: Any) -> Hoisted:
    """The norm of an error over its tolerance (a pytree like y0), as a real scalar."""
    hoisted = hoist(lambda error, norm: jnp.asarray(norm(error)), (state,), (norm,))
    shape = output_shape(hoisted)
    if shape.shape != () or not jnp.issubdtype(shape.dtype, jnp.floating):
        raise TypeError(f"norm must return one real number, got {shape.dtype}{list(shape.shape)}")
    return hoisted


def _is_concrete(x: Any) -> bool:
    return not isinstance(x, Tracer)
