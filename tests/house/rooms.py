"""The packages of neurode and the files they are made of, for the tests of this folder."""

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import neurode

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(neurode.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))


def packages() -> list[ModuleType]:
    """neurode itself and every package below it, imported."""
    below = pkgutil.walk_packages(neurode.__path__, "neurode.")
    return [neurode, *(importlib.import_module(info.name) for info in below if info.ispkg)]


def short(path: Path) -> str:
    """A path as a test id: loops/joint.py."""
    return path.relative_to(SOURCE).as_posix()


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file, nested ones too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]
