"""One self-contained HTML page: sections of text, figures, tables and facts, and no script."""

import base64
import datetime
import html
import importlib.metadata
import platform
import re
import string
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neurode.report.images import encode_png, write_whole
from neurode.report.style import WIDTH, format_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PACKAGES = ("neurode", "jax", "equinox", "optax", "numpy")


class Section:
    """A part of a page; every method appends one block and returns the section.

    Text is escaped, never read as HTML. Two marks are understood: `code` between backticks and
    **bold** between double asterisks; an empty line begins a new paragraph.
    """

    def __init__(self, page: "Page", title: str):
        """Use `Page.section`."""
        self._page = page
        self.title = title
        self.blocks: list[str] = []

    def text(self, text: str) -> "Section":
        """Append paragraphs.

        Args:
            text: one or more paragraphs.
        """
        return self._append(_paragraphs(text))

    def note(self, text: str, kind: Literal["note", "warning"] = "note") -> "Section":
        """Append a remark set apart.

        Args:
            text: one or more paragraphs.
            kind: "note", or "warning" for what a reader must not overlook.
        """
        if kind not in ("note", "warning"):
            raise ValueError(f"kind={kind!r} must be 'note' or 'warning'")
        return self._append(f'<aside class="{kind}">{_paragraphs(text)}</aside>')

    def code(self, text: str) -> "Section":
        """Append lines of code or a command, as they are.

        Args:
            text: the lines.
        """
        return self._append(f"<pre><code>{html.escape(text)}</code></pre>")

    def facts(self, facts: Mapping[str, Any], *, big: bool = False) -> "Section":
        """Append names with values.

        Args:
            facts: name -> value; numbers are formatted, anything else is shown as text.
            big: a few headline numbers as tiles instead of a list.
        """
        rows = "".join(
            f"<div><dt>{_inline(name)}</dt><dd>{_cell(value, 4, trim=True)}</dd></div>"
            for name, value in facts.items()
        )
        return self._append(f'<dl class="{"tiles" if big else "facts"}">{rows}</dl>')

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        caption: str = "",
        best: Mapping[str, Literal["min", "max"]] | None = None,
        digits: int = 4,
    ) -> "Section":
        """Append a table.

        Args:
            header: names of the columns.
            rows: cells; numbers are formatted and aligned to the right, None is a dash.
            caption: above the table.
            best: column name -> "min" or "max": its best number is marked (all, if tied).
            digits: significant digits of numbers that are not integers.

        Raises:
            ValueError: a row's length differs from the header's, or `best` names no column.
        """
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"row {list(row)} has {len(row)} cells, the header {len(header)}")
        marked = _find_best(header, rows, best or {})
        numeric = [
            all(_is_number(row[j]) or row[j] is None for row in rows) for j in range(len(header))
        ]
        sides = [' class="number"' if right else "" for right in numeric]
        head = "".join(
            f'<th scope="col"{s}>{_inline(h)}</th>' for h, s in zip(header, sides, strict=True)
        )
        body = []
        for i, row in enumerate(rows):
            cells = []
            for j, value in enumerate(row):
                shown = _cell(value, digits)
                shown = f'<b class="best">{shown}</b>' if (i, j) in marked else shown
                cells.append(f"<td{sides[j]}>{shown}</td>")
            body.append(f"<tr>{''.join(cells)}</tr>")
        title = f"<caption>{_inline(caption)}</caption>" if caption else ""
        key = '<p class="key"><b class="best">Marked</b>: best in its column.</p>' if marked else ""
        return self._append(
            f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table></div>{key}"
        )

    def figure(self, figure: "Figure", name: str, caption: str, *, alt: str = "") -> "Section":
        """Append a figure: embedded in the page, and saved as `<name>.png` beside it.

        Args:
            figure: what a `draw_…` function returned, or any matplotlib figure.
            name: of the PNG file, without ending: letters, digits, "-" and "_".
            caption: below the figure: what is seen, and what follows from it.
            alt: what is seen, for those who cannot see it; the caption if empty.

        Raises:
            ValueError: the name is taken or unfit for a file.
            ImportError: matplotlib is missing.
        """
        png = encode_png(figure)
        self._page.add_image(name, png)
        data = base64.b64encode(png).decode("ascii")
        described = html.escape(alt or _plain(caption), quote=True)
        share = min(figure.get_figwidth() / WIDTH, 1.0)
        return self._append(
            f'<figure><div class="scroll"><img src="data:image/png;base64,{data}" '
            f'alt="{described}" style="--share:{share:.3g}"></div>'
            f"<figcaption>{_inline(caption)}</figcaption></figure>"
        )

    def _append(self, block: str) -> "Section":
        self.blocks.append(block)
        return self


class Page:
    """A report: a title, a summary, sections, and a footer that says how it was made.

    Attributes:
        summary: the blocks before the first section.
    """

    def __init__(self, title: str, subtitle: str = ""):
        """Begin a page.

        Args:
            title: what was done.
            subtitle: one sentence on what came out.
        """
        self.title = title
        self.subtitle = subtitle
        self.summary = Section(self, "")
        self._sections: list[Section] = []
        self._images: dict[str, bytes] = {}

    def section(self, title: str) -> Section:
        """Append a section, which is also listed in the page's navigation.

        Args:
            title: its heading.
        """
        self._sections.append(Section(self, title))
        return self._sections[-1]

    def add_image(self, name: str, png: bytes) -> None:
        """Keep a PNG that `write` saves beside the page.

        Args:
            name: of the file, without ending.
            png: its content.

        Raises:
            ValueError: the name is taken or unfit for a file.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise ValueError(f"figure name {name!r} may hold only letters, digits, '-' and '_'")
        if name in self._images:
            raise ValueError(f"figure name {name!r} is taken; figures are files beside the page")
        self._images[name] = png

    def render(
        self,
        *,
        command: str = "",
        seconds: float | None = None,
        versions: Mapping[str, str] | None = None,
        made: datetime.datetime | None = None,
    ) -> str:
        """Return the page as HTML.

        Args:
            command: what makes it again.
            seconds: how long that took.
            versions: package -> version; None looks up the main ones.
            made: when; None is now.
        """
        anchors = _name_anchors([section.title for section in self._sections])
        links = "".join(
            f'<li><a href="#{anchor}">{_inline(section.title)}</a></li>'
            for anchor, section in zip(anchors, self._sections, strict=True)
        )
        sections = "".join(
            f'<section id="{anchor}"><h2>{_inline(section.title)}</h2>'
            f"{''.join(section.blocks)}</section>"
            for anchor, section in zip(anchors, self._sections, strict=True)
        )
        summary = "".join(self.summary.blocks)
        template = resources.files("neurode.report").joinpath("template.html").read_text("utf-8")
        return string.Template(template).substitute(
            title=html.escape(_plain(self.title)),
            heading=_inline(self.title),
            subtitle=f'<p class="subtitle">{_inline(self.subtitle)}</p>' if self.subtitle else "",
            navigation=f'<nav aria-label="Sections"><ol>{links}</ol></nav>' if links else "",
            summary=f'<section class="summary">{summary}</section>' if summary else "",
            sections=sections,
            footer=_footer(command, seconds, versions, made),
        )

    def write(
        self,
        folder: str | Path,
        *,
        command: str = "",
        seconds: float | None = None,
        versions: Mapping[str, str] | None = None,
        made: datetime.datetime | None = None,
    ) -> Path:
        """Write `report.html` and the PNG files beside it; each file whole or not at all.

        Args:
            folder: made if missing.
            command: what makes the page again.
            seconds: how long that took.
            versions: package -> version; None looks up the main ones.
            made: when; None is now.

        Returns:
            The path of `report.html`.

        Raises:
            OSError: the folder or a file in it cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, png in self._images.items():
            write_whole(folder / f"{name}.png", png)
        page = self.render(command=command, seconds=seconds, versions=versions, made=made)
        return write_whole(folder / "report.html", page.encode("utf-8"))


def _footer(
    command: str,
    seconds: float | None,
    versions: Mapping[str, str] | None,
    made: datetime.datetime | None,
) -> str:
    made = made or datetime.datetime.now().astimezone()
    took = "" if seconds is None else f" in {_duration(seconds)}"
    parts = [f"<p>Made {made:%Y-%m-%d %H:%M %Z}".rstrip() + f"{took}.</p>"]
    if command:
        parts.append(f"<pre><code>{html.escape(command)}</code></pre>")
    shown = ", ".join(f"{name} {version}" for name, version in (versions or _versions()).items())
    parts.append(f"<p>{html.escape(shown)}</p>")
    return "".join(parts)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "Python": platform.python_version()}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{format_number(seconds, 3, trim=True)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _inline(text: str) -> str:
    """Escape text, then read `code` and **bold**; what is inside code stays as it is."""
    parts = re.split(r"`([^`]+)`", html.escape(str(text)))
    for i, part in enumerate(parts):
        bold = re.sub(r"\*\*(\S(?:.*?\S)?)\*\*", r"<strong>\1</strong>", part)
        parts[i] = f"<code>{part}</code>" if i % 2 else bold
    return "".join(parts)


def _plain(text: str) -> str:
    return re.sub(r"`([^`]+)`|\*\*(\S(?:.*?\S)?)\*\*", r"\1\2", text)


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(p.strip())}</p>" for p in re.split(r"\n\s*\n", text) if p.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _cell(value: Any, digits: int, trim: bool = False) -> str:
    if value is None:
        return "–"
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a scalar array
        value = value.item()
    return format_number(value, digits, trim) if _is_number(value) else _inline(value)


def _find_best(
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    best: Mapping[str, Literal["min", "max"]],
) -> set[tuple[int, int]]:
    """Return (row, column) of the best numbers."""
    marked = set()
    for name, which in best.items():
        if name not in header or which not in ("min", "max"):
            raise ValueError(f"best={{{name!r}: {which!r}}} must map a column to 'min' or 'max'")
        j = list(header).index(name)
        numbers = {
            i: row[j] for i, row in enumerate(rows) if _is_number(row[j]) and row[j] == row[j]
        }
        if len(numbers) > 1:
            target = min(numbers.values()) if which == "min" else max(numbers.values())
            marked |= {(i, j) for i, value in numbers.items() if value == target}
    return marked


def _name_anchors(titles: Sequence[str]) -> list[str]:
    anchors: list[str] = []
    for title in titles:
        slug = re.sub(r"[^a-z0-9]+", "-", _plain(title).lower()).strip("-") or "section"
        taken = sum(re.fullmatch(rf"{slug}(-\d+)?", anchor) is not None for anchor in anchors)
        anchors.append(f"{slug}-{taken + 1}" if taken else slug)
    return anchors
