"""The command line as a user sees it: what it prints, and the code it exits with."""

from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from neurode.cli.main import app


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    def mistake(self) -> str:
        """The one line of a mistake; anything else is a failure."""
        assert self.code == 2, self
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("error: "), self.err
        assert self.out == ""
        return self.err.removeprefix("error: ").strip()


def ask(*words: object) -> Answer:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return Answer(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def neurode():
    return ask


@pytest.fixture(scope="session")
def decay(tmp_path_factory) -> Path:
    """Two series that decay at the rate 0.5, and a file with that ODE."""
    folder = tmp_path_factory.mktemp("decay")
    rows = ["tank,hour,level"]
    for tank, start in (("a", 8.0), ("b", 5.0)):
        for hour in range(6):
            wobble = 0.01 * (-1) ** hour
            rows.append(f"{tank},{hour},{start * 2.718281828 ** (-0.5 * hour) + wobble:.4f}")
    (folder / "tanks.csv").write_text("\n".join(rows) + "\n")
    (folder / "model.py").write_text("def f(t, y, p):\n    return -p.rate * y\n")
    return folder
