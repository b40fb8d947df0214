"""What a package exports is listed, sorted, complete, importable and unambiguous."""

import ast
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import neurode
from house.rooms import ROOT, SOURCE, packages


@pytest.fixture(scope="module")
def rooms():
    return packages()


def bound_names(package) -> set[str]:
    """Public names an __init__ defines, or imports from other rooms without using them itself."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.startswith("neurode")):
            names |= {alias.asname or alias.name for alias in node.names} - used
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_every_package_lists_its_exports(rooms):
    assert not [room.__name__ for room in rooms if not isinstance(room.__all__, list)]


def test_lists_are_complete(rooms):
    missing = {room.__name__: bound_names(room) - set(room.__all__) for room in rooms}
    assert not {room: names for room, names in missing.items() if names}


def test_lists_are_sorted():
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--quiet"]
    command += ["--select", "RUF022", "--output-format", "concise", str(SOURCE)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_listed_name_can_be_had_once(rooms):
    for room in rooms:
        assert len(room.__all__) == len(set(room.__all__)), room.__name__
        for name in room.__all__:
            assert hasattr(room, name), f"{room.__name__}.{name} is listed but missing"


def test_no_module_shares_a_name_with_an_export(rooms):
    for room in rooms:
        modules = {module.name for module in pkgutil.iter_modules(room.__path__)}
        assert not modules & set(room.__all__), room.__name__


def test_dir_shows_what_is_exported():
    assert set(neurode.__all__) <= set(dir(neurode))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(neurode, "no_such_name")


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert neurode.__version__ == project["version"]
