"""What every test runs under: the CPU, one thread per worker, one compile cache for all of them.

The environment is set before anything imports JAX, which reads it then; subprocesses inherit it.
"""

import gc
import importlib.metadata
import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("MPLBACKEND", "Agg")
if importlib.metadata.version("jaxlib").startswith("0.10."):
    # Compiling is most of what the tests do, and these take half off it: how fast the programs
    # run, LLVM's part, is for the benchmarks to see. Other versions of XLA may not know the flags,
    # and would refuse to start.
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"
        " --xla_llvm_disable_expensive_passes=true",
    )
if "PYTEST_XDIST_WORKER" in os.environ:  # workers on the same cores must not fight for them
    # jaxlib 0.10 takes its threads from this; the flags of XLA_FLAGS about threads change nothing.
    os.environ.setdefault("PJRT_NPROC", "1")
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

settings.register_profile("here", deadline=None, max_examples=20)
settings.register_profile("ci", deadline=None, max_examples=20, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(autouse=True, scope="module")
def room_for_programs():
    """Forget compiled programs before they crowd the process out.

    XLA maps each into memory by itself, and Linux gives a process 65,530 maps: beyond, it crashes.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MANY_MAPS:
        import jax

        jax.clear_caches()
        gc.collect()


_MANY_MAPS = 20_000


@pytest.fixture
def x64():
    """The test runs with 64-bit types, as a user may."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture
def strict_promotion():
    """A silent promotion, of rank or of dtype, is a failure."""
    import jax

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield
