"""The page: self-contained, escaped, well-formed, and written whole or not at all."""

import base64
import datetime
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from neurode.report import LearningCurve, Page, draw_training

MADE = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Tree(HTMLParser):
    """Collects elements and text, and fails on tags that do not nest."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def figure():
    return draw_training([LearningCurve([0, 1, 2], [3.0, 2.0, 1.0], "x")])


def build(figure) -> Page:
    page = Page("Two models & one **forecast**", "What <came> out.")
    page.summary.facts({"error": 12.5, "name": "a < b"}, big=True)
    first = page.section("Data & fits")
    first.text("One `x < y` and **bold**.\n\nTwo <script>alert('no')</script> $title.")
    first.figure(figure, "loss", 'The "loss" <over> training.')
    first.table(["model", "error"], [["a", 1.0], ["b", 2]], caption="Errors", best={"error": "min"})
    page.section("Data & fits").note("Beware.", "warning").code("neurode demo <out>")
    return page


def write(page: Page, folder: Path) -> str:
    path = page.write(folder, command="neurode demo", seconds=98.5, made=MADE)
    assert path == folder / "report.html"
    return path.read_text("utf-8")


def test_the_page_is_well_formed_and_complete(figure, tmp_path):
    tree = Tree(write(build(figure), tmp_path))
    assert "Two models & one forecast" in tree.text
    assert "What <came> out." in tree.text
    assert "12.5" in tree.text
    assert "One x < y and bold ." in tree.text
    assert "Two <script>alert('no')</script> $title." in tree.text
    assert "Made 2024-02-29 12:30 UTC in 98.5 s." in tree.text
    assert "neurode demo" in tree.text
    assert "Python 3" in tree.text
    assert "jax 0" in tree.text
    assert [tag for tag, _ in tree.elements].count("p") >= 5
    assert {"class": "warning"} in tree.all("aside")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in tree.all(
        "meta"
    )


def test_navigation_leads_to_every_section(figure, tmp_path):
    tree = Tree(write(build(figure), tmp_path))
    targets = [a["href"] for a in tree.all("a")]
    ids = [s["id"] for s in tree.all("section") if "id" in s]
    assert ids == ["data-fits", "data-fits-2"]
    assert targets == [f"#{anchor}" for anchor in ids]


def test_nothing_is_fetched_and_nothing_runs(figure, tmp_path):
    page = write(build(figure), tmp_path)
    tree = Tree(page)
    assert not tree.all("script")
    assert not tree.all("link")
    assert not re.search(r"https?://|url\(|@import|\son\w+=", page)
    assert all(img["src"].startswith("data:image/png;base64,") for img in tree.all("img"))
    policy = [m["content"] for m in tree.all("meta") if "http-equiv" in m]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_light_dark_phone_and_print_are_cared_for(figure, tmp_path):
    page = write(build(figure), tmp_path)
    for query in ("prefers-color-scheme: dark", "max-width: 40rem", "@media print"):
        assert query in page


def test_figures_are_embedded_and_lie_beside_the_page(figure, tmp_path):
    tree = Tree(write(build(figure), tmp_path / "new" / "run"))
    (img,) = tree.all("img")
    embedded = base64.b64decode(img["src"].split(",", 1)[1])
    assert (tmp_path / "new" / "run" / "loss.png").read_bytes() == embedded
    assert embedded.startswith(b"\x89PNG")
    assert len(embedded) < 300_000
    assert img["alt"] == 'The "loss" <over> training.'
    assert sorted(os.listdir(tmp_path / "new" / "run")) == ["loss.png", "report.html"]


def table_cells(page: str) -> list[list[str]]:
    body = re.search(r"<tbody>(.*)</tbody>", page, re.DOTALL)
    assert body
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body[1].split("</tr>")[:-1]]


def test_tables_format_align_and_mark_the_best():
    page = Page("t")
    rows = [
        ["a", 1.0, 0.5, 7, None],
        ["b", 1.0, 0.25, 10_000, 3.25],
        ["<c>", float("nan"), np.float32(0.125), np.int64(3), True],
    ]
    page.section("s").table(
        ["name", "low", "high", "count", "mixed"],
        rows,
        best={"low": "min", "high": "max"},
        digits=3,
    )
    html = page.render(made=MADE)
    assert table_cells(html) == [
        ["a", '<b class="best">1.00</b>', '<b class="best">0.500</b>', "7", "–"],
        ["b", '<b class="best">1.00</b>', "0.250", "10\u202f000", "3.25"],
        ["&lt;c&gt;", "n/a", "0.125", "3", "True"],
    ]
    assert html.count('<th scope="col" class="number">') == 3
    assert "best in its column" in html


def test_a_single_number_is_no_best():
    page = Page("t")
    page.section("s").table(["a", "b"], [["x", 1.0], ["y", None]], best={"b": "min"})
    assert 'class="best"' not in page.render(made=MADE)


def test_facts_take_scalars_of_any_kind():
    page = Page("t")
    page.section("s").facts({"a": np.float32(1.5), "b": np.array(2), "c": None, "d": [1, 2]})
    shown = re.findall(r"<dd>(.*?)</dd>", page.render(made=MADE))
    assert shown == ["1.5", "2", "–", "[1, 2]"]


def test_marks_inside_code_stay_as_they_are():
    page = Page("t")
    page.section("s").text("`a**2 + b**2` and 2 ** 3 ** 4, **a & b**.")
    html = page.render(made=MADE)
    assert "<p><code>a**2 + b**2</code> and 2 ** 3 ** 4, <strong>a &amp; b</strong>.</p>" in html


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.512, "0.512 s"), (98.0, "98 s"), (150, "2 min 30 s"), (7260, "2 h 1 min")],
)
def test_durations(seconds, shown):
    assert f"UTC in {shown}." in Page("t").render(seconds=seconds, made=MADE)


def test_an_empty_page_has_no_navigation():
    html = Page("Only a title").render(made=MADE, versions={"x": "1"})
    tree = Tree(html)
    assert not tree.all("nav")
    assert "x 1" in tree.text


def test_refusals(figure):
    section = Page("t").section("s")
    section.figure(figure, "one", "c")
    for name, message in [("one", "is taken"), ("../x", "may hold only"), ("", "may hold only")]:
        with pytest.raises(ValueError, match=message):
            section.figure(figure, name, "c")
    with pytest.raises(ValueError, match=r"row \[1, 2\] has 2 cells, the header 1"):
        section.table(["a"], [[1, 2]])
    for best in ({"b": "min"}, {"a": "least"}):
        with pytest.raises(ValueError, match="must map a column to 'min' or 'max'"):
            section.table(["a"], [[1]], best=best)
    with pytest.raises(ValueError, match="kind='hint' must be"):
        section.note("x", "hint")  # type: ignore[arg-type]


def test_a_failed_write_leaves_the_older_report(figure, tmp_path, monkeypatch):
    write(build(figure), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        Page("another").write(tmp_path)
    monkeypatch.undo()
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
