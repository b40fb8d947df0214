"""Unknown parameters of ODEs: five ways to estimate them, on data simulated from known ones."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurode.report import Curve, Panel, draw_panels
from neurode.reproduce.estimation_methods import (
    Estimated,
    run_matching,
    run_network,
    run_scipy,
    run_shooting,
)
from neurode.reproduce.estimation_problems import PROBLEMS, Problem, simulate
from neurode.reproduce.experiment import Findings, Value, check_whole
from neurode.store import saving, write_bytes

METHODS = (
    "gradient matching",
    "orthogonality",
    "shooting",
    "multiple shooting",
    "SciPy",
    "neural ODE",
)
"""In this order: all searches that solve the ODE start from what gradient matching found."""

_ROLES = ("baseline", "third", "model", "fourth", "second")


@dataclass(frozen=True)
class Config:
    """What decides the result."""

    data_sets: int = 100
    scipy_data_sets: int = 20  # of these; its time is that of all by proportion
    network_data_sets: int = 100
    network_steps: int = 1000
    noises: tuple[float, ...] = (0.05, 0.2)  # shares of each variable's standard deviation
    seed: int = 0

    def __post_init__(self):
        for name in ("data_sets", "scipy_data_sets", "network_data_sets", "network_steps"):
            check_whole(name, getattr(self, name), 1)
        check_whole("seed", self.seed, 0)


QUICK = {"data_sets": 4, "scipy_data_sets": 1, "network_data_sets": 1, "network_steps": 50}


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Estimate the parameters of every data set by every method, and compare with the truth.

    Args:
        config: how much of everything.
        folder: of the run; what each method found for each problem is kept there.
        data: not needed.
        resume: keep what the folder holds.
        progress: say what is being done, on standard error.
    """
    del data
    cells: dict[tuple[str, float, str], dict[str, Any]] = {}
    places = [(title, noise) for title in PROBLEMS for noise in config.noises]
    order = [(*place, method) for place in places for method in METHODS[:-1]]
    for title, noise, method in [*order, *((*place, METHODS[-1]) for place in places)]:
        problem = PROBLEMS[title]
        place = folder / "cells" / f"{title}-{noise:g}-{method}.json".replace(" ", "-")
        decisive = _decides(config, method)
        kept = _read(place, decisive) if resume else None
        if kept is None:
            _say(progress, f"{title}, noise {noise:.0%}, {method}")
            sets = simulate(problem, noise, config.data_sets, config.seed)
            matched = cells.get((title, noise, METHODS[0]))
            kept = _estimate(method, problem, sets, matched, config)
            _keep(place, kept, decisive)
        cells[title, noise, method] = kept
    return _collect(config, cells)


def _estimate(
    method: str, problem: Problem, sets: list[Any], matched: Any, config: Config
) -> dict[str, Any]:
    began = time.process_time()
    if method == "neural ODE":
        few = sets[: config.network_data_sets]
        errors = run_network(problem, few, config.network_steps, config.seed)
        found: dict[str, Any] = {"errors": errors.tolist()}
    else:
        starts = None if matched is None else np.array(matched["values"], float)
        found = _as_json(_run(method, problem, sets, starts, config))
    return found | {"cpu": time.process_time() - began}


def _run(method: str, problem: Problem, sets: list[Any], starts: Any, config: Config) -> Estimated:
    if method == "SciPy":
        few = config.scipy_data_sets
        return run_scipy(problem, sets[:few], starts[:few])
    if method in ("shooting", "multiple shooting"):
        return run_shooting(problem, sets, starts, method == "multiple shooting")
    return run_matching(problem, sets, method == "orthogonality", config.seed)


def _as_json(found: Estimated) -> dict[str, Any]:
    """What is not finite becomes None: JSON has no NaN."""
    arrays = {n: getattr(found, n) for n in ("values", "low", "high")}
    cells = {
        n: [[x if np.isfinite(x) else None for x in row] for row in a.tolist()]
        for n, a in arrays.items()
    }
    memory = found.memory if np.isfinite(found.memory) else None
    times = {"seconds": found.seconds, "compile_seconds": found.compile_seconds}
    return cells | times | {"memory": memory}


def _decides(config: Config, method: str) -> dict[str, int]:
    """What decides the outcome of a method for one problem and noise."""
    own = {"SciPy": ("scipy_data_sets",), "neural ODE": ("network_data_sets", "network_steps")}
    names = ("data_sets", "seed", *own.get(method, ()))
    return {name: getattr(config, name) for name in names}


def _read(place: Path, decisive: dict[str, int]) -> dict[str, Any] | None:
    """What an earlier run found, if all that decides it was the same."""
    try:
        entry = json.loads(place.read_text(encoding="utf-8"))
        return entry["found"] if decisive.items() <= entry["config"].items() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _keep(place: Path, found: dict[str, Any], decisive: dict[str, int]) -> None:
    with saving(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    entry = {"config": decisive, "found": found}
    write_bytes(place, (json.dumps(entry) + "\n").encode())


def _say(progress: bool, line: str) -> None:
    if progress:
        import sys

        print(line, file=sys.stderr, flush=True)


def summarise(found: dict[str, Any], problem: Problem, count: int) -> dict[str, Value]:
    """Bias, RMSE, coverage, time and memory of a method on a problem.

    Args:
        found: values, low and high [n, k], seconds and memory.
        problem: with the truth.
        count: data sets that the time is for.
    """
    truth = np.array(list(problem.truth.values()))
    values, low, high = (np.array(found[n], float) for n in ("values", "low", "high"))
    done = np.isfinite(values).all(axis=1) & np.isfinite(low).all(axis=1)
    errors = values[done] / truth - 1
    inside = (low[done] <= truth) & (truth <= high[done])
    n, failed = int(done.sum()), int((~done).sum())
    names = list(problem.truth)

    def spell(numbers):
        each = (f"{name} {x:.3g}" for name, x in zip(names, numbers, strict=True))
        return ", ".join(each) + (f"; {failed} failed" if failed else "")

    bias, rmse = errors.mean(axis=0), np.sqrt(np.mean(errors**2, axis=0))
    cover = inside.mean(axis=0)
    result = {
        "bias": Value(float(np.abs(bias).mean()), n, note=spell(bias)),
        "rmse": Value(float(np.sqrt(np.mean(rmse**2))), n, note=spell(rmse)),
        "coverage": Value(100 * float(cover.mean()), n, note=spell(100 * cover)),
        "seconds": Value(
            found["seconds"] * count / len(values),
            len(values),
            note=f"for {count} fits; compiling took {found['compile_seconds']:.1f} s more",
        ),
    }
    if found["memory"] is not None:
        result["memory"] = Value(found["memory"], len(values))
    return result


def _collect(config: Config, cells: dict[tuple[str, float, str], dict[str, Any]]) -> Findings:
    values: dict[tuple[str, str], Value] = {}
    seconds = 0.0
    for (title, noise, method), found in cells.items():
        row = f"{title} {noise:.0%}, {method}"
        seconds += found["cpu"]
        if method == "neural ODE":
            errors = np.array(found["errors"])
            for name, column in zip(("trajectory", "slope"), errors.T, strict=True):
                sd = float(column.std(ddof=1)) if len(column) > 1 else None
                values[row, name] = Value(float(column.mean()), len(column), sd)
            continue
        summary = summarise(found, PROBLEMS[title], config.data_sets)
        values |= {(row, metric): value for metric, value in summary.items()}
        if method == "SciPy":
            for ours in ("shooting", "multiple shooting"):
                place = f"{title} {noise:.0%}, {ours}"
                ratio = summary["seconds"].ours / values[place, "seconds"].ours
                rmse = _rmse_of_first(cells[title, noise, ours], PROBLEMS[title], found)
                note = f"RMSE on the same data sets {rmse:.3g}, SciPy {summary['rmse'].ours:.3g}"
                values[place, "speedup"] = Value(ratio, len(found["values"]), note=note)
    return Findings(
        values=values,
        figures={"figure": draw_panels(_draw(config, values), columns=2, panel_height=2.2)},
        complete=config.data_sets >= 100 and set(config.noises) >= {0.05, 0.2},
        interrupted=False,
        seeds=(config.seed,),
        seconds=seconds,
        notes=(
            "bias and rmse relative to the parameters, averaged over them (bias by its size)",
            "seconds of the processor in one process; SciPy's in proportion to its data sets; "
            "speedup is SciPy's seconds over ours, compilation apart",
            "memory beside the arguments: of one compiled program for all data sets; SciPy's the "
            "most that Python and NumPy allocate in one fit, as they follow each other",
        ),
    )


def _rmse_of_first(ours: dict[str, Any], problem: Problem, theirs: dict[str, Any]) -> float:
    """Of the data sets that the other one has estimated, too."""
    count = len(theirs["values"])
    same = ours | {name: ours[name][:count] for name in ("values", "low", "high")}
    return summarise(same, problem, count)["rmse"].ours


def _draw(config: Config, values: dict[tuple[str, str], Value]) -> list[Panel]:
    panels = []
    for title in PROBLEMS:
        curves = [
            Curve(
                100 * np.array(config.noises),
                [values[f"{title} {noise:.0%}, {method}", "rmse"].ours for noise in config.noises],
                method,
                role,
            )
            for method, role in zip(METHODS, _ROLES, strict=False)
        ]
        panels.append(
            Panel(title, curves, x_label="noise (%)", y_label="relative RMSE", log_y=True)
        )
    return panels
