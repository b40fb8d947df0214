"""Theorem 1, checked on any machine: the density changes by the trace; and what that costs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurode.gradients import Direct
from neurode.ivp import solve
from neurode.models import Flow, SolveOptions, transport
from neurode.nn import ExactTrace, Hutchinson, MLPField, PlanarField
from neurode.report import Curve, Panel, draw_panels
from neurode.reproduce.experiment import Findings, Value, check_whole


@dataclass(frozen=True)
class Config:
    """What is checked, all of it in double precision, and what is timed, in single."""

    points: int = 64  # at which densities are compared
    tolerance: float = 1e-9  # of the solves that are compared
    grid: int = 240  # points along a side, for the mass
    half: float = 7.0  # half the side of the square that holds the mass
    units: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024)  # M, timed
    dimensions: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512)  # D, timed
    rows: int = 1024  # points that are timed together; a sixteenth of them where D grows
    seed: int = 0

    def __post_init__(self):
        for name, least in (("points", 2), ("grid", 2), ("rows", 16)):
            check_whole(name, getattr(self, name), least)
        check_whole("seed", self.seed, 0)


QUICK = {
    "points": 16,
    "grid": 80,
    "units": (16, 64, 256, 1024),
    "dimensions": (2, 8, 32, 128),
}
TOLERANCES = tuple(10.0**-k for k in range(2, 9))
_STRENGTH = 10.0  # of the last layer, so that untrained fields move their points far
_MAX_STEPS = 4096
_LARGEST = 3  # sizes from which a growth is read
_SECONDS = 0.05  # of repeats per size, at least


class Hamiltonian(eqx.Module):
    """d(z1, z2)/dt = (f(z2), g(z1)), whose divergence is zero whatever f and g are.

    Source: Chen et al. (2018), appendix A.1: a continuous NICE.

    Attributes:
        f: of the second half.
        g: of the first half.
    """

    f: MLPField
    g: MLPField

    def __call__(self, t: Any, z: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """The derivative of z."""
        first, second = jnp.split(z, 2, axis=-1)
        return jnp.concatenate([self.f(t, second), self.g(t, first)], axis=-1)


class Timings(NamedTuple):
    """Seconds of one evaluation, by what grows."""

    units: dict[str, np.ndarray]  # name -> [len(config.units)]
    dimensions: dict[str, np.ndarray]


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Check Theorem 1 and time it; nothing is trained, and nothing kept in the folder.

    Args:
        config: what to check.
        folder: not needed.
        data: not needed.
        resume: not needed.
        progress: not needed.
    """
    del folder, data, resume, progress
    began = time.monotonic()
    with jax.enable_x64(True):
        fields = make_fields(config)
        values = {}
        for name, (field, size) in fields.items():
            z = _points(config, size)
            gap = determinant_gap(field, z, config.tolerance)
            values[f"{name} field", "determinant"] = Value(gap)
            residual = liouville_residual(field, z, config.tolerance)
            values[f"{name} field", "liouville"] = Value(residual)
        field, size = fields["Hamiltonian"]
        values["Hamiltonian field", "divergence"] = Value(_divergence(field, _points(config, size)))
        masses = np.array([total_mass(fields["planar"][0], config, t) for t in TOLERANCES])
    mass = float(abs(masses[-1] - 1))
    values["planar field", "mass"] = Value(mass, note=f"tolerance {TOLERANCES[-1]:.0e}")
    timings = _time_all(config)
    for name, seconds in timings.units.items():
        values[f"{name}, in M", "growth"] = Value(_growth(config.units, seconds))
    for name, seconds in timings.dimensions.items():
        values[f"{name}, in D", "growth"] = Value(_growth(config.dimensions, seconds))
    return Findings(
        values=values,
        figures={"figure": _draw(config, masses, timings)},
        complete=True,
        interrupted=False,
        seeds=(config.seed,),
        seconds=time.monotonic() - began,
        notes=(f"growth: exponent of the time from the largest {_LARGEST} sizes",),
    )


def make_fields(config: Config) -> dict[str, tuple[Callable, int]]:
    """Untrained fields that move points far, and their dimensions."""
    keys = jax.random.split(jax.random.key(config.seed), 4)
    halves = [_strengthen(MLPField(2, (32,), key=key), _STRENGTH) for key in keys[2:]]
    planar = PlanarField(2, 32, hyper=(32,), average=True, key=keys[0])
    network = MLPField(5, (32, 32), time_dependent=True, key=keys[1])
    return {
        "planar": (_strengthen(planar, _STRENGTH), 2),
        "MLP": (_strengthen(network, _STRENGTH), 5),
        "Hamiltonian": (Hamiltonian(*halves), 4),
    }


def _strengthen(field: Any, factor: float) -> Any:
    last = jax.tree.map(lambda x: factor * x, field.layers[-1])
    return eqx.tree_at(lambda field: field.layers[-1], field, last)


def _points(config: Config, size: int) -> Float[Array, "n d"]:
    return jax.random.normal(jax.random.key(config.seed + 1), (config.points, size), jnp.float64)


def _options(tolerance: float) -> SolveOptions:
    return SolveOptions(rtol=tolerance, atol=tolerance, max_steps=_MAX_STEPS, gradient=Direct())


def determinant_gap(field: Callable, z: Float[Array, "n d"], tolerance: float) -> float:
    """The largest difference of the integrated trace from log |det| of the flow map's Jacobian.

    Args:
        field: f(t, z).
        z: where the paths begin.
        tolerance: of both solves.
    """

    def arrive(z):
        ts = jnp.array([0.0, 1.0])
        options = {"rtol": tolerance, "atol": tolerance, "max_steps": _MAX_STEPS}
        return solve(field, z, ts, gradient=Direct(), **options).ys[-1]

    @jax.jit
    def both(z):
        jacobians = jax.vmap(jax.jacfwd(arrive))(z)
        carried = jax.vmap(lambda z: transport(field, z, (0.0, 1.0), _options(tolerance)))(z)
        return jnp.linalg.slogdet(jacobians)[1], carried.change

    log_det, change = both(z)
    return float(jnp.max(jnp.abs(log_det - change)))


def liouville_residual(field: Callable, z: Float[Array, "n d"], tolerance: float) -> float:
    """The largest |d log p/dt + f·grad log p + tr(df/dz)| on the way, at t = 0.5.

    Every derivative is taken of log p(t, z) as a function of its own, found by solving back to
    the base; that of time goes through the limits of the solve. (Chen et al. 2018, appendix A.2)

    Args:
        field: f(t, z).
        z: where the paths begin.
        tolerance: of the solves.
    """
    flow, options = Flow(field), _options(tolerance)

    def log_p(t, z):
        back = transport(field, z, jnp.stack([t, jnp.zeros_like(t)]), options)
        return flow.base.log_prob(back.z) + back.change

    @jax.jit
    @jax.vmap
    def residual(z):
        t = jnp.asarray(0.5, z.dtype)
        there = transport(field, z, jnp.stack([jnp.zeros_like(t), t]), options).z
        by_time, by_place = jax.grad(log_p, argnums=(0, 1))(t, there)
        velocity, divergence = ExactTrace()(field, t, there, None)
        return by_time + velocity @ by_place + divergence

    return float(jnp.max(jnp.abs(residual(z))))


def total_mass(field: Callable, config: Config, tolerance: float) -> float:
    """The integral of the flow's density at t = 1 over the square, by the trapezoidal rule.

    Args:
        field: f(t, z) in the plane.
        config: the grid.
        tolerance: of the solve.
    """
    side = jnp.linspace(-config.half, config.half, config.grid)
    grid = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)
    density = _density(Flow(field), grid, jnp.asarray(tolerance))
    return float(jnp.sum(density) * (side[1] - side[0]) ** 2)


@eqx.filter_jit
def _density(flow: Flow, grid: Array, tolerance: Array) -> Array:
    options = _options(1e-6)
    back = transport(flow.field, grid, (1.0, 0.0), options, tolerance=tolerance)
    return jnp.exp(flow.base.log_prob(back.z) + back.change)


def _divergence(field: Callable, z: Array) -> float:
    return float(jnp.max(jnp.abs(ExactTrace()(field, 0.0, z, None)[1])))


# --- what it costs --------------------------------------------------------------------------------


def _time_all(config: Config) -> Timings:
    key = jax.random.key(config.seed)
    names = ("closed form",)
    units: dict[str, list[float]] = {name: [] for name in names}
    for m in config.units:
        z = jax.random.normal(key, (config.rows, 2))
        planar = PlanarField(2, m, hyper=(8,), key=key)
        # The weights at a time cost as much as M as well, but once for all rows.
        units["closed form"].append(_seconds(lambda f, z: f.with_divergence(0.5, z), planar, z))
    names = ("exact trace", "Hutchinson", "determinant")
    dimensions: dict[str, list[float]] = {name: [] for name in names}
    rows = config.rows // 16
    for d in config.dimensions:
        z = jax.random.normal(key, (rows, d))
        field = MLPField(d, (64,), key=key)
        signs = Hutchinson().draw(z, key)
        dimensions["exact trace"].append(
            _seconds(lambda f, z: ExactTrace()(f, 0.0, z, None), field, z)
        )
        dimensions["Hutchinson"].append(
            _seconds(lambda f, z, e: Hutchinson()(f, 0.0, z, e), field, z, signs)
        )
        matrices = jnp.eye(d) + 0.1 * jax.random.normal(key, (rows, d, d))
        dimensions["determinant"].append(_seconds(lambda a: jnp.linalg.slogdet(a)[1], matrices))
    arrays = lambda times: {name: np.array(t) for name, t in times.items()}  # noqa: E731
    return Timings(arrays(units), arrays(dimensions))


def _seconds(function: Callable, *arguments: Any) -> float:
    """The least time of a compiled call."""
    compiled = eqx.filter_jit(function)
    jax.block_until_ready(compiled(*arguments))
    times = []
    while len(times) < 20 or (sum(times) < _SECONDS and len(times) < 2000):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(time.perf_counter() - began)
        if sum(times) > 20 * _SECONDS:
            break
    return min(times)


def _growth(sizes: tuple[int, ...], seconds: np.ndarray) -> float:
    last = slice(-_LARGEST, None)
    return float(np.polyfit(np.log(sizes[last]), np.log(seconds[last]), 1)[0])


def _draw(config: Config, masses: np.ndarray, timings: Timings) -> Any:
    roles = {
        "closed form": "model",
        "exact trace": "model",
        "Hutchinson": "third",
        "determinant": "second",
    }

    def curves(sizes, times):
        x = np.array(sizes, float)
        return [Curve(x, 1e6 * seconds, name, roles[name]) for name, seconds in times.items()]

    log = {"log_x": True, "log_y": True}
    deviation = np.maximum(np.abs(masses - 1), 1e-16)
    mass = Curve(np.array(TOLERANCES), deviation, "|mass - 1|", "fourth")
    labels = [f"µs for {rows} points" for rows in (config.rows, config.rows // 16)]
    return draw_panels(
        [
            Panel("total mass", [mass], x_label="tolerance", **log),  # pyright: ignore[reportArgumentType]
            Panel(
                "planar: time against M",
                curves(config.units, timings.units),
                x_label="units M",
                y_label=labels[0],
                **log,  # pyright: ignore[reportArgumentType]
            ),
            Panel(
                "time against D",
                curves(config.dimensions, timings.dimensions),
                x_label="dimension D",
                y_label=labels[1],
                **log,  # pyright: ignore[reportArgumentType]
            ),
        ],
        columns=3,
        panel_height=2.2,
    )
