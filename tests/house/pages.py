"""Markdown pages as the tests of this folder read them: their code, their commands."""

import re
from pathlib import Path

from house.rooms import ROOT

README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def code_blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """(line number, code) of every fenced block of a page in one of these languages."""
    text = page.read_text(encoding="utf-8")
    fences = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [
        (text.count("\n", 0, fence.start(2)) + 1, fence[2])
        for fence in fences
        if fence[1] in languages
    ]


def shell_commands(page: Path) -> list[str]:
    """Every command a page tells the reader to type: lines of shell blocks, and `inline` code."""
    lines = [
        line.strip().removeprefix("$ ")
        for _, block in code_blocks(page, "", "bash", "console", "sh", "shell")
        for line in block.splitlines()
    ]
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    return lines + re.findall(r"`([^`\n]+)`", prose)
