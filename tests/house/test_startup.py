"""`import neurode` costs little more than the JAX it needs, and wakes no device."""

import json
import os
import subprocess
import sys

BASE = "import jax, equinox"
PAIRS = 3
LIMIT = 1.4
HEAVY = {
    "diffrax",
    "matplotlib",
    "optax",
    "pandas",
    "pyarrow",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "typer",
}


def run(code: str):
    """What a fresh interpreter prints, read as JSON. It keeps bytecode, as interpreters do."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def seconds(statement: str) -> float:
    """Processor time of an import: what it costs however busy the machine is."""
    return run(f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)")


def loaded(statement: str) -> set[str]:
    """Top-level modules that an import brings in."""
    return set(run(f"import json, sys; {statement}; print(json.dumps([*map(str, sys.modules)]))"))


def test_import_time():
    run("import neurode; print(0)")  # writes the bytecode
    times = [(seconds("import neurode"), seconds(BASE)) for _ in range(PAIRS)]
    ours, base = map(min, zip(*times, strict=True))  # whatever disturbs only adds
    assert ours / base <= LIMIT, times


def test_import_loads_no_heavy_library():
    extra = loaded("import neurode") - loaded(BASE)
    assert not {module.split(".")[0] for module in extra} & HEAVY


def test_import_starts_no_backend():
    code = "from jax._src import xla_bridge; print(len(xla_bridge._backends))"
    assert run(f"import neurode; {code}") == 0
    # The same question after a computation, so that the answer above means something.
    assert run(f"import neurode, jax.numpy as jnp; jnp.zeros(1); {code}") > 0
