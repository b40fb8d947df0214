import re
import tomllib
from pathlib import Path

import jax
import pytest
from typer.testing import CliRunner

from neurode.cli.info import EXTRAS, describe_devices, describe_extra
from neurode.cli.main import app

ROOT = Path(__file__).parents[2]
# distribution -> module, where they differ
MODULES = {
    "import-linter": "importlinter",
    "mkdocs-material": "material",
    "mkdocstrings": "mkdocstrings",
    "pre-commit": "pre_commit",
    "pytest-xdist": "xdist",
}


def test_info_names_versions_and_devices():
    result = CliRunner().invoke(app, ["info"])
    assert result.exit_code == 0
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in result.stdout.splitlines())
    assert lines["jax"] == jax.__version__
    assert lines["devices"].startswith(f"{len(jax.devices())} x cpu")
    assert lines["float64"].startswith("on" if jax.config.jax_enable_x64 else "off")
    assert {"neurode", "python", "jaxlib", "equinox", "[report]", "[data]"} <= set(lines)


def test_missing_extra_prints_its_pip_line():
    assert describe_extra("data", ("json", "csv")) == "installed"
    line = describe_extra("data", ("json", "no_such_module"))
    assert line == 'no_such_module missing: pip install "neurode[data]"'


def test_devices_are_counted_by_kind():
    class Device:
        def __init__(self, platform, device_kind):
            self.platform, self.device_kind = platform, device_kind

    devices = [Device("cpu", "cpu"), Device("gpu", "H100"), Device("gpu", "H100")]
    assert describe_devices(devices) == "1 x cpu, 2 x gpu (H100)"


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_are_those_of_the_project(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"])
    names = [re.match(r"[\w-]+", line)[0] for line in project["optional-dependencies"][extra]]
    modules = {MODULES.get(name, name) for name in names if name != "neurode"}
    assert modules == set(EXTRAS[extra])
