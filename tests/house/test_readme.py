"""What the README and the documentation tell people to type, works."""

import contextlib
import io
import re

import pytest

from house.pages import PAGES, README, code_blocks, shell_commands
from house.rooms import ROOT


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if code_blocks(page, "python")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for line, code in code_blocks(page, "python"):
        # Empty lines in front make a traceback name the line of the page.
        compiled = compile("\n" * (line - 1) + code, str(page), "exec")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compiled, namespace)


def test_readme_shows_python():
    assert code_blocks(README, "python")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_make_verbs_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    commands = [command.split() for command in shell_commands(page)]
    named = {words[1] for words in commands if words[:1] == ["make"] and len(words) > 1}
    assert named <= targets


def test_readme_names_the_two_commands():
    blocks = code_blocks(README, "", "bash", "console", "sh")
    lines = [line.split("#")[0].strip() for _, block in blocks for line in block.splitlines()]
    assert {"make demo", "make test"} <= set(lines)
