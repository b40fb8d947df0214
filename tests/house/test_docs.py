"""Whatever is public is documented: in the code, in the API pages, on the command line."""

import inspect
import re
from typing import Any

import pytest
import typer

import neurode
from house.pages import PAGES, shell_commands
from house.rooms import ROOT, packages

API_PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))


@pytest.fixture(scope="module")
def exports() -> dict[str, object]:
    """Everything that any package exports, by its full name."""
    return {
        f"{package.__name__}.{name}": getattr(package, name)
        for package in packages()
        for name in package.__all__
    }


@pytest.fixture(scope="module")
def command_line() -> dict[str, Any]:
    """Every command by its full name, such as `neurode fit dynamics`."""
    from neurode.cli import main

    [app] = {value for value in vars(main).values() if isinstance(value, typer.Typer)}
    return commands(typer.main.get_command(app), "neurode")


def commands(group, name: str) -> dict[str, Any]:
    found = {}
    for key, command in group.commands.items():
        is_group = hasattr(command, "commands")
        found |= commands(command, f"{name} {key}") if is_group else {f"{name} {key}": command}
    return found


def words(symbol) -> str:
    """A docstring of its own; not the signature that dataclasses write when there is none."""
    # A class must not pass with the docstring that it inherits.
    own = vars(symbol).get("__doc__") if inspect.isclass(symbol) else symbol.__doc__
    text = inspect.cleandoc(own or "")
    return "" if text.startswith(f"{symbol.__name__}(") else text


def api_entries() -> list[str]:
    """The paths that the API pages show: `::: neurode.solve` and so on."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in API_PAGES)
    return re.findall(r"^::: (\S+)$", text, re.MULTILINE)


def test_every_export_has_a_docstring(exports):
    # A constant is documented where it is assigned; it has no docstring of its own.
    defined = {n: v for n, v in exports.items() if inspect.isclass(v) or inspect.isfunction(v)}
    assert len(defined) >= len(neurode.__all__) // 2
    assert not [name for name, value in defined.items() if not words(value)]


def test_every_export_of_neurode_is_in_the_api_pages():
    shown = {path.rpartition(".")[2] for path in api_entries()}
    assert not set(neurode.__all__) - shown


def test_the_api_pages_show_what_exists(exports):
    assert not set(api_entries()) - exports.keys()


def test_every_command_has_help_and_a_place_in_the_guide(command_line):
    guide = (ROOT / "docs" / "guides" / "command-line.md").read_text(encoding="utf-8")
    for name, command in command_line.items():
        assert command.help, f"`{name}` has no help"
        assert re.search(rf"\b{name}\b", guide), f"`{name}` is not in the guide"


def test_every_command_that_is_shown_exists(command_line):
    groups = {name.rpartition(" ")[0] for name in command_line}
    for page in PAGES:
        for line in shell_commands(page):
            line = line.split("#")[0].strip()
            if not line.startswith("neurode ") or line in groups:
                continue
            known = [name for name in command_line if f"{line} ".startswith(f"{name} ")]
            assert known, f"{page.name}: no such command: {line}"
            command = command_line[max(known, key=len)]
            options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            unknown = set(re.findall(r"(?<= )--[\w-]+", line)) - options - {"--help", "--debug"}
            assert not unknown, f"{page.name}: {line}"
