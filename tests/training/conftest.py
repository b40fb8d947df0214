"""The regression that all training tests share, so that its program is compiled once."""

import importlib.util
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parent / "regression.py"
_SPEC = importlib.util.spec_from_file_location("training_regression", _SCRIPT)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture(scope="session")
def regression():
    """The module `regression.py`."""
    return _MODULE
