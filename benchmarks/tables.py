"""Rows as text: one line for the terminal, a table in Markdown. Knows no case."""

from collections.abc import Sequence

from benchmarks.rows import OURS, Entry, Row


def duration(value: float | None) -> str:
    """A time with two or three digits and its unit."""
    if value is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def size(value: int | None) -> str:
    """A number of bytes with its unit."""
    if value is None:
        return ""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value} B"


def line(row: Row) -> str:
    """One row on one line."""
    head = " | ".join(str(value) for value in row.labels.values())
    if row.problem:
        return f"{head}: NOT TIMED, {row.problem}"
    return f"{head}: " + "; ".join(brief(entry) for entry in row.entries)


def brief(entry: Entry) -> str:
    """One entry on a line."""
    if entry.note:
        return f"{entry.by} {entry.note}"
    parts = [entry.by, duration(entry.seconds), size(entry.bytes)]
    if entry.ratio is not None:
        parts.append("x{1:.2f} ({0:.2f}-{2:.2f})".format(*entry.ratio))
    if entry.error is not None:
        parts.append(f"error {entry.error:.0e}")
    if entry.evals is not None:
        parts.append(f"NFE {entry.evals:.0f}")
    if entry.compile_seconds is not None:
        parts.append(f"compile {entry.compile_seconds:.1f} s")
    return " ".join(part for part in parts if part)


LONG = 80
# Column -> its text for an entry. A column that is empty for all rows is left out.
COLUMNS = {
    "by": lambda e: e.by,
    "time": lambda e: e.note or duration(e.seconds),
    f"{OURS} / it": lambda e: (
        "" if e.ratio is None else "**{1:.3g}** ({0:.3g}-{2:.3g})".format(*e.ratio)
    ),
    "error": lambda e: "" if e.error is None else f"{e.error:.1e}",
    "NFE": lambda e: "" if e.evals is None else f"{e.evals:.0f}",
    "per NFE": lambda e: duration(e.seconds / e.evals) if e.seconds and e.evals else "",
    "memory": lambda e: size(e.bytes),
    "compile": lambda e: duration(e.compile_seconds),
}


def table(rows: Sequence[Row]) -> str:
    """Rows in Markdown: a line for each entry, the labels on the first of them.

    A long table is folded.
    """
    labels = list(dict.fromkeys(key for row in rows for key in row.labels))
    used = [
        name
        for name, text in COLUMNS.items()
        if any(text(entry) for row in rows if not row.problem for entry in row.entries)
    ]
    lines = [
        "| " + " | ".join(labels + used) + " |",
        "|" + "---|" * (len(labels) + len(used)),
    ]
    for row in rows:
        head = [str(row.labels.get(key, "")) for key in labels]
        if row.problem:
            cells = [f"not timed: {row.problem}"] + [""] * (len(used) - 1)
            lines.append("| " + " | ".join(head + cells) + " |")
            continue
        for entry in row.entries:
            cells = [COLUMNS[name](entry) for name in used]
            lines.append("| " + " | ".join(head + cells) + " |")
            head = [""] * len(labels)
    text = "\n".join(lines)
    if len(lines) <= LONG:
        return text
    return f"<details><summary>{len(rows)} rows</summary>\n\n{text}\n\n</details>"
