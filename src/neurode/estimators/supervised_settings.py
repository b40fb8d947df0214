"""The settings of `ODENetClassifier` and `ODENetRegressor`, checked, and the network they make."""

import os
from typing import Any

import jax
import numpy as np

from neurode.estimators.estimator import (
    SettingError,
    check_adaptive,
    check_choice,
    check_number,
    check_solving,
)
from neurode.gradients import Checkpointed
from neurode.models import ODENet, TabularODENet
from neurode.models.odenet import STEMS
from neurode.nn.vector_fields import ACTIVATIONS
from neurode.solvers import Tsit5
from neurode.solvers.solver import Solver

SMALLEST_IMAGE = 8  # pixels; downsampled twice, fewer leave no positions to normalise over
_ADAM = 4  # copies of the weights: themselves, their gradient, two moments
_KEPT = 12  # states per row that a training step holds: stages, tape, cotangents


def check_supervised_settings(e: Any) -> None:
    """Refuse a setting that cannot be, by its name.

    Args:
        e: the estimator.

    Raises:
        SettingError: which one, its value, and what it may be.
    """
    if e.width is not None:
        check_number("width", e.width, least=1, whole=True)
    read_widths(e.hidden)
    check_choice("activation", e.activation, tuple(ACTIVATIONS))
    check_choice("downsampling", e.downsampling, tuple(STEMS))
    for name in ("augment", "depth_degree"):
        check_number(name, getattr(e, name), least=0, whole=True)
    for name in ("channels", "max_steps", "steps", "batch_size", "patience"):
        check_number(name, getattr(e, name), least=1, whole=True)
    for name in ("tolerance", "predict_tolerance", "learning_rate"):
        value = getattr(e, name)
        if name == "predict_tolerance" and value is None:
            continue
        check_number(name, value, least=0)
        if not value > 0:
            raise SettingError(f"{name} must be above 0, got {value!r}")
    check_number("weight_decay", e.weight_decay, least=0)
    check_choice("early_stopping", e.early_stopping, (True, False, "auto"))
    check_number("validation_fraction", e.validation_fraction, least=0)
    if not 0 < e.validation_fraction < 1:
        raise SettingError(
            f"validation_fraction must be between 0 and 1, got {e.validation_fraction!r}"
        )
    check_solving(e, "nd.Backsolve()", or_none=True)
    check_adaptive(e.solver)


def read_widths(hidden: Any) -> tuple[int, ...]:
    """The widths of the field's hidden layers.

    Raises:
        SettingError: they are no positive whole numbers.
    """
    widths = (hidden,) if np.ndim(hidden) == 0 else tuple(hidden)
    if not widths or not all(
        isinstance(w, (int, np.integer)) and not isinstance(w, bool) and w > 0 for w in widths
    ):
        raise SettingError(f"hidden must be positive whole numbers such as (64,), got {hidden!r}")
    return tuple(int(w) for w in widths)


def choose_solver(e: Any) -> Solver:
    """The solver of an estimator, None being `nd.Tsit5()`."""
    return Tsit5() if e.solver is None else e.solver


def make_net(e: Any, shape: tuple[int, ...], outputs: int, key: Any) -> TabularODENet | ODENet:
    """The untrained network that the settings ask for.

    Args:
        e: the estimator.
        shape: of an example: (d,) of a table's row, (h, w, c) of an image.
        outputs: classes or targets.
        key: of the weights.
    """
    ode = {
        "solver": choose_solver(e),
        "gradient": Checkpointed() if e.gradient is None else e.gradient,
        "rtol": float(e.tolerance),
        "atol": float(e.tolerance),
        "max_steps": int(e.max_steps),
        "augment": int(e.augment),
        "depth_degree": int(e.depth_degree),
        "key": key,
    }
    if len(shape) == 1:
        width = None if e.width is None else int(e.width)
        hidden = read_widths(e.hidden)
        return TabularODENet(
            shape[0], outputs, width=width, hidden=hidden, activation=e.activation, **ode
        )
    return ODENet(
        in_channels=shape[2],
        channels=int(e.channels),
        classes=outputs,
        downsampling=e.downsampling,
        **ode,
    )


def check_memory(e: Any, shape: tuple[int, ...], outputs: int) -> None:
    """Refuse a network whose training cannot fit into this machine's memory, before it is made.

    Args:
        e: the estimator.
        shape: of an example.
        outputs: classes or targets.

    Raises:
        SettingError: it needs more than there is.
    """
    net = jax.eval_shape(lambda key: make_net(e, shape, outputs, key), jax.random.key(0))
    weights = sum(x.size for x in jax.tree.leaves(net) if hasattr(x, "size"))
    batch = jax.ShapeDtypeStruct((int(e.batch_size), *shape), np.float32)
    state = jax.eval_shape(lambda net, x: net.lift(x), net, batch)
    needed = 4 * (_ADAM * weights + _KEPT * state.size)
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise SettingError(
            f"training would take about {needed / 2**30:,.0f} GiB (states of "
            f"{state.size // batch.shape[0]:,} numbers a row, {weights:,} weights) and this "
            f"machine has {there / 2**30:,.0f}: lower augment={e.augment}, the widths or "
            f"batch_size={e.batch_size}"
        )
