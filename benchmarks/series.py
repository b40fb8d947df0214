"""What latent ODEs cost: times of their own against shared times, and a thousand forecasts.

    python -m benchmarks.series [--series 500] [--times 100]

Everything runs in one process and in turn; figures are CPU seconds of that process, compilation
apart. About two minutes.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import neurode as nd
from neurode.models import (
    Crops,
    GaussianEmission,
    LatentLoss,
    SolveOptions,
    new_latent_model,
    solve_paths,
)
from neurode.solvers import Tsit5
from neurode.stepping import PIController

ROUNDS = 15
SPAN, LATENT = 4.0, 4
TOLERANCES = {"rtol": 1e-3, "atol": 1e-4}  # the defaults of `LatentODE`
UNION_SERIES = (25, 100)  # the union of times grows with the series, and the work squared


def make_crops(key: np.random.Generator, n: int, count: int, is_shared: bool) -> Crops:
    """n noisy circles with a phase of their own, at random times of [0, 4], shared or not."""
    ts = np.sort(key.uniform(0, SPAN, (1 if is_shared else n, count)), axis=1)
    ts = np.broadcast_to(ts - ts[:, :1], (n, count))
    angle = ts + key.uniform(0, 2 * np.pi, (n, 1))
    ys = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    ys = ys + 0.1 * key.standard_normal(ys.shape)
    on = jnp.ones(ys.shape, bool)
    first = jnp.zeros(n, int)
    return Crops(jnp.float32(ts), jnp.float32(ys), on, on, first, jnp.ones(()))


def cpu_seconds(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Medians over rounds in which everyone is called once."""
    for call in calls.values():
        jax.block_until_ready(call())
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.process_time()
            jax.block_until_ready(call())
            times[name].append(time.process_time() - began)
    return {name: float(np.median(each)) for name, each in times.items()}


def compare_times(n: int, count: int) -> None:
    """One update's loss and gradient: shared times, disjoint times, and the union of times."""
    key = np.random.default_rng(0)
    emission = GaussianEmission(jnp.log(jnp.full(2, 0.1)))
    model = new_latent_model(2, LATENT, emission, activation="elu", key=jax.random.key(0))
    options = SolveOptions(Tsit5(), **TOLERANCES, max_steps=256, stepsize=PIController())
    loss = LatentLoss(options, consistency=1.0)
    draw = jax.random.key(1)

    @jax.jit
    def update(model, crops):
        return jax.grad(lambda m: loss(m, crops, draw, jnp.zeros(()))[0])(model)

    shared, disjoint = (make_crops(key, n, count, is_shared) for is_shared in (True, False))
    found = cpu_seconds(
        {"shared": lambda: update(model, shared), "disjoint": lambda: update(model, disjoint)}
    )
    print(f"one update of {n} series x {count} times x 2, CPU ms (loss and gradient):")
    for name, seconds in found.items():
        print(f"  {name:<9} {1e3 * seconds:8.1f}   {seconds / found['shared']:5.2f} of shared")

    @jax.jit
    def paths(field, initial, ts):
        """States at the union of all times, of which each series then takes its own."""

        def total(field):
            grid, place = jnp.unique(ts, return_inverse=True, size=ts.size)
            sol = nd.solve(jax.vmap(field, (None, 0)), initial, grid, solver=Tsit5(), **TOLERANCES)
            return jnp.sum(sol.ys[place.reshape(ts.shape), jnp.arange(len(ts))[:, None]] ** 2)

        return jax.grad(total)(field)

    @jax.jit
    def own(field, initial, ts):
        def total(field):
            return jnp.sum(solve_paths(field, initial, ts[:, 0], ts, options).states ** 2)

        return jax.grad(total)(field)

    print("\nlatent paths alone, with their gradient, CPU ms: times of their own, their union")
    for few in UNION_SERIES:
        crops = make_crops(key, few, count, False)
        initial = jnp.float32(key.standard_normal((few, LATENT)))
        both = {
            "own": lambda i=initial, t=crops.ts: own(model.field, i, t),
            "union": lambda i=initial, t=crops.ts: paths(model.field, i, t),
        }
        both = cpu_seconds(both)
        mine, union = 1e3 * both["own"], 1e3 * both["union"]
        print(f"  {few:4d} series {mine:8.1f} {union:9.1f}   x {union / mine:.0f}")


def forecast_many(n: int = 1000) -> None:
    """Forecasts of 1,000 series, ten times each, with 50 sampled paths and intervals."""
    key = np.random.default_rng(1)
    series = []
    for _ in range(n):
        ts = np.sort(key.uniform(0, SPAN, key.integers(10, 31)))
        series.append((ts, np.stack([np.cos(ts), np.sin(ts)], axis=1)))
    model = nd.LatentODE(steps=20, progress=False).fit(series)
    later = np.linspace(SPAN, 2 * SPAN, 10)
    for form, call in {
        "of the series learned from": lambda: model.forecast(later),
        "of series handed in": lambda: model.forecast(later, series),
    }.items():
        call()
        began, wall = time.process_time(), time.perf_counter()
        call()
        cpu, wall = time.process_time() - began, time.perf_counter() - wall
        print(f"forecasts {form} ({n:,}, 10 times each): {cpu:.2f} s of CPU, {wall:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--times", type=int, default=100)
    arguments = parser.parse_args()
    compare_times(arguments.series, arguments.times)
    print()
    forecast_many()
