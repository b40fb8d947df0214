"""Imports go one way, down the list in pyproject.toml, and never round in a circle."""

import graphlib
import re
import subprocess
import sys
import tomllib

import grimp
import pytest

from house.rooms import ROOT

ENGINE = ("core", "solvers", "stepping", "loops", "gradients", "arguments", "ivp")
ENGINE_MAY_IMPORT = {"equinox", "jax", "jaxtyping", "lineax", "neurode", "numpy"}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("neurode", include_external_packages=True, cache_dir=None)


def test_layers_hold():
    check = "from importlinter.cli import lint_imports as check"
    code = f"{check}; raise SystemExit(check(no_cache=True, no_logo=True))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_architecture_page_shows_the_layers_that_are_checked():
    [contract] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    rooms = re.findall(r"\w+", " ".join(contract["layers"]))
    page = (ROOT / "ARCHITECTURE.md").read_text()
    listed = re.search(r"```text\n(cli .*?)```", page, re.DOTALL)
    assert listed, "ARCHITECTURE.md has no ```text block that begins with cli"
    shown = [line.split("  ")[0] for line in listed[1].splitlines()]
    assert re.findall(r"\w+", " ".join(shown)) == rooms


def test_no_module_imports_itself_round_a_circle(graph):
    below = {
        module: graph.find_modules_directly_imported_by(module) - {module}
        for module in graph.modules
        if module.split(".")[0] == "neurode"
    }
    try:
        graphlib.TopologicalSorter(below).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " -> ".join(reversed(error.args[1])))


def test_engine_imports_no_heavy_library(graph):
    strangers = {
        (module, imported)
        for module in graph.modules
        if module.startswith(tuple(f"neurode.{room}" for room in ENGINE))
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.split(".")[0] not in ENGINE_MAY_IMPORT | sys.stdlib_module_names
    }
    assert not strangers


def test_models_know_no_optimiser(graph):
    rooms = ("neurode.models", "neurode.nn")
    assert not {
        importer
        for importer in graph.find_modules_that_directly_import("optax")
        if importer.startswith(rooms)
    }
