"""Everyone who is measured, one file each. A peer that is not installed is named, not hidden."""

import importlib
from types import ModuleType

from benchmarks.rows import Entry

NEEDS = {
    "neurode": ("neurode",),
    "diffrax": ("diffrax",),
    "scipy": ("scipy",),
    "torchdiffeq": ("torch", "torchdiffeq"),
    "torchode": ("torch", "torchode"),
}
"""The packages that a peer's file imports."""

_said: set[str] = set()


def find(name: str) -> ModuleType | None:
    """The file of one peer; None, and one line, when its package is not installed."""
    for package in NEEDS[name]:
        try:
            importlib.import_module(package)
        except ImportError as error:
            if name not in _said:
                print(f"{name}: not measured, {error}; `make bench` installs it", flush=True)
            _said.add(name)
            return None
    return importlib.import_module(f"benchmarks.peers.{name}")


def not_installed(name: str) -> Entry:
    """What a table shows in place of its numbers."""
    return Entry(name, note="not installed")
