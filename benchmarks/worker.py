"""Measure one case, in a process of its own with its own number of threads.

    python -m benchmarks.worker CASE --threads N --budget SECONDS --out ROWS.jsonl

`run.py` starts one for each case, so that a case that crashes takes no other with it. Rows are
printed, and appended to the file, as they are measured.
"""

import argparse
import contextlib
import ctypes
import os
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("case", help="a letter of `cases/catalogue.py`")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--budget", type=float, default=1.5, help="seconds per row")
parser.add_argument("--out", type=Path, help="file to append rows to")


def hold_to(threads: int) -> None:
    """Give this process so many cores, and tell every library. Before they are imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
        # Else the threads of a library's pool preempt the one that feeds them, on the same core,
        # and how often is chance: up to four times the time for the same program.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    os.environ["PJRT_NPROC"] = str(threads)
    several = "true" if threads > 1 else "false"
    flags = f"--xla_cpu_multi_thread_eigen={several} intra_op_parallelism_threads={threads}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # compile times are measured
    os.environ["EQX_ON_ERROR"] = "nan"  # diffrax: no callbacks into Python at run time


def keep_memory() -> None:
    """Have glibc keep freed memory: returning it to the system and faulting it in again costs more
    than many a solve, and strikes whoever needs the most memory at random."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        trim_threshold, mmap_threshold = -1, -3
        mallopt(mmap_threshold, 2**30), mallopt(trim_threshold, 2**31 - 1)


def main() -> None:
    """Measure, print, append."""
    options = parser.parse_args()
    hold_to(options.threads)
    keep_memory()
    import json

    import jax

    from benchmarks.cases.catalogue import CASES
    from benchmarks.tables import line

    # Every call is waited for; handing it to another thread first would only add to its time.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    case = CASES[options.case]
    for row in case.load().rows(options.budget):
        if len(case.threads) > 1:
            row.labels["threads"] = options.threads
        print(line(row), flush=True)
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(json.dumps(row.as_json()) + "\n")


if __name__ == "__main__":
    main()
