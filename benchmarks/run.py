"""Measure neurode against its peers and write RESULTS.md and results.json beside this file.

    python benchmarks/run.py [--budget SECONDS_PER_ROW] [--saves N ...]

One thread, float32, the same problem, tolerances, first step and controller; synchronous
dispatch; compile time apart.
Every answer is compared with the peer's before a time is reported.
"""

import os

THREADS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {THREADS}".strip()
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import argparse
import importlib.metadata
import json
import platform
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from measure import Comparison, compare, seconds

from problems import MLP_PROBLEMS, MLPProblem, mlp

# Each call is waited for, so that handing it to another thread first would only add to the time
# (and JAX hands over by the size of the compiled program, not by the time it takes).
jax.config.update("jax_cpu_enable_async_dispatch", False)

HERE = Path(__file__).parent
TOLERANCE = 1e-5
CASES = (("forward", "exact"), ("gradient", "exact"), ("gradient", "adjoint"))


def solver_of(peer: Any, ts: jax.Array, what: str, gradient: str) -> Any:
    """A compiled function of (weights, y0): the solution, or a loss with its gradient."""

    def final(weights, y0):
        ys, evals = peer.solve(mlp, y0, ts, weights, TOLERANCE, gradient)
        return ys[-1], evals

    if what == "forward":
        return jax.jit(final)

    def loss(weights, y0):
        y1, evals = final(weights, y0)
        return jnp.mean(y1**2), evals

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))


def disagreement(ours: Any, theirs: Any) -> float:
    """The largest difference, relative to the largest entry."""
    pairs = zip(jax.tree_util.tree_leaves(ours), jax.tree_util.tree_leaves(theirs), strict=True)
    pairs = [(a, b) for a, b in pairs if jnp.issubdtype(a.dtype, jnp.floating)]
    scale = max(float(jnp.max(jnp.abs(b))) for _, b in pairs)
    return max(float(jnp.max(jnp.abs(a - b))) for a, b in pairs) / scale


def measure_case(problem: MLPProblem, saves: int, what: str, gradient: str, budget: float) -> dict:
    """One row of the table."""
    from peers import diffrax, neurode

    weights, y0 = problem.arrays()
    ts = jnp.linspace(0.0, problem.t1, saves)
    calls, answers, compile_times = [], [], []
    for peer in (neurode, diffrax):
        run = solver_of(peer, ts, what, gradient)
        call = partial(lambda run: jax.block_until_ready(run(weights, y0)), run)
        compile_times.append(seconds(call))
        answers.append(call())
        calls.append(call)
    difference = disagreement(*answers)
    if difference > 100 * TOLERANCE:
        raise RuntimeError(f"{problem.name} {what} {gradient}: answers differ by {difference:.1e}")
    times: Comparison = compare(*calls, budget)
    evals = [int(a[1] if what == "forward" else a[0][1]) for a in answers]
    return {
        "problem": problem.name, "saves": saves, "what": what,
        "gradient": gradient if what == "gradient" else "",
        "ours_us": times.ours * 1e6, "theirs_us": times.theirs * 1e6,
        "ratio": times.ratio, "quartiles": times.quartiles,
        "nfe_ours": evals[0], "nfe_theirs": evals[1],
        "ratio_per_nfe": times.ratio * evals[1] / evals[0],
        "difference": difference,
        "compile_ours_s": compile_times[0], "compile_theirs_s": compile_times[1],
    }  # fmt: skip


def table(rows: list[dict]) -> str:
    """The rows in Markdown."""
    lines = [
        "| batch x dim, hidden | saves | what | neurode | diffrax | ratio (quartiles) "
        "| NFE | ratio per NFE | difference | compile |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        what = f"{r['what']} {r['gradient']}".strip()
        low, high = r["quartiles"]
        lines.append(
            f"| {r['problem']} | {r['saves']} | {what} | {r['ours_us']:.0f} µs "
            f"| {r['theirs_us']:.0f} µs | **{r['ratio']:.2f}** ({low:.2f}-{high:.2f}) "
            f"| {r['nfe_ours']} / {r['nfe_theirs']} | {r['ratio_per_nfe']:.2f} "
            f"| {r['difference']:.0e} | {r['compile_ours_s']:.1f} / {r['compile_theirs_s']:.1f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every case and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=4.0, help="seconds per row")
    parser.add_argument("--saves", type=int, nargs="+", default=[2, 10], help="save times")
    options = parser.parse_args()
    versions = {n: importlib.metadata.version(n) for n in ("neurode", "diffrax", "jax", "jaxlib")}
    rows = []
    for problem in MLP_PROBLEMS:
        for saves in options.saves:
            for what, gradient in CASES:
                rows.append(measure_case(problem, saves, what, gradient, options.budget))
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    machine = {"cpu": platform.processor() or platform.machine(), "threads": 1}
    (HERE / "results.json").write_text(
        json.dumps({"versions": versions, "machine": machine, "rows": rows}, indent=1) + "\n"
    )
    geometric = float(np.exp(np.mean([np.log(r["ratio"]) for r in rows])))
    (HERE / "RESULTS.md").write_text(
        "# neurode against its peers\n\n"
        "Written by `make bench`. One thread, synchronous dispatch, float32, Dopri5 with the same "
        "rule for the step size, the same first step and tolerances "
        f"(rtol = atol = {TOLERANCE:g}). Medians of interleaved pairs; the ratio is "
        "neurode / diffrax, below 1 is faster. `difference` is the largest deviation between the "
        "two answers, relative to their size. `exact`: `Checkpointed` against "
        "`RecursiveCheckpointAdjoint`; `adjoint`: `Backsolve` against `BacksolveAdjoint`.\n\n"
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f".\n\n{table(rows)}\n\nGeometric mean of the ratios: {geometric:.2f}.\n"
    )
    print(f"written: {HERE / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
