"""The paper's numbers beside ours: rows, the printed table, and the files in results/NAME/."""

import json
import os
import platform
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from neurode.store import saving, write_bytes

METRICS = "metrics.json"
_PAPER = Path(__file__).with_name("paper.toml")


class Row(NamedTuple):
    """One number of the paper, ours, and what we aim at; None where there is none.

    Attributes:
        row: the model, as the paper names it.
        metric: what is measured.
        unit: of all the numbers.
        paper: the paper's.
        ours: ours; None if it was not run.
        sd: standard deviation of ours over n runs, None for one run.
        n: how many runs.
        target: what we want to reach.
        note: what a reader must know.
    """

    row: str
    metric: str
    unit: str = ""
    paper: float | None = None
    ours: float | None = None
    sd: float | None = None
    n: int = 0
    target: float | None = None
    note: str = ""


def read_paper(name: str) -> list[Row]:
    """Return the rows of an experiment, without ours, from paper.toml.

    Args:
        name: of the experiment.
    """
    table = tomllib.loads(_PAPER.read_text(encoding="utf-8"))[name]
    return [
        Row(
            row=row,
            metric=metric,
            unit=entry.get("unit", ""),
            paper=entry.get("paper", {}).get(row),
            target=entry.get("target", {}).get(row),
        )
        for row in table["rows"]
        for metric, entry in table["metrics"].items()
        if row in entry.get("rows", table["rows"])
    ]


def fill_rows(rows: Sequence[Row], values: Mapping[tuple[str, str], Any]) -> list[Row]:
    """Put what was found into the rows.

    Args:
        rows: from `read_paper`.
        values: (row, metric) -> something with `ours`, `sd`, `n` and `note`.

    Raises:
        KeyError: a value belongs to no row.
    """
    places = {(row.row, row.metric): i for i, row in enumerate(rows)}
    filled = list(rows)
    for place, value in values.items():
        i = places[place]
        filled[i] = rows[i]._replace(ours=value.ours, sd=value.sd, n=value.n, note=value.note)
    return filled


def format_table(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """Return the table "paper | ours | target" as text, one line per row that says something.

    Args:
        rows: all of them; those with neither the paper's number nor ours are left out.
        notes: lines below the table.
    """
    header = ["row", "metric", "paper", "ours", "target", "note"]
    lines = [header]
    for row in rows:
        if row.paper is None and row.ours is None:
            continue
        numbers = [_spell(x, row.unit) for x in (row.paper, row.ours, row.target)]
        if row.sd is not None:
            numbers[1] += f" ± {_spell(row.sd, row.unit)} (n={row.n})"
        lines.append([row.row, row.metric, *numbers, row.note])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    text = [
        " | ".join(
            cell.rjust(width) if header[i] in ("paper", "ours", "target") else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip(" |")
        for line in lines
    ]
    return "\n".join([*text, *notes])


def write_results(
    folder: Path, metrics: Mapping[str, Any], command: str, pictures: Mapping[str, bytes]
) -> Path:
    """Write metrics.json, command.txt and the figures, creating the folder.

    Args:
        folder: where to.
        metrics: what metrics.json holds.
        command: what was typed.
        pictures: file name -> content.

    Raises:
        SaveError: a file cannot be written.
    """
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        write_bytes(folder / name, content)
    write_bytes(folder / "command.txt", f"{command}\n".encode())
    text = json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(folder / METRICS, f"{text}\n".encode())
    return folder


def is_complete(folder: Path) -> bool:
    """Whether the folder holds the results of a complete run."""
    try:
        return _read_metrics(folder)["complete"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def count_numbers(folder: Path) -> int:
    """How many numbers the results in the folder hold; 0 if there are none."""
    try:
        return sum(row["ours"] is not None for row in _read_metrics(folder)["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _read_metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / METRICS).read_text(encoding="utf-8"))


def describe_machine() -> dict[str, Any]:
    """Return the number of usable cores and the names of the CPU and the GPU (None: not used)."""
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = jax.devices()[0]
    gpu = None if device.platform == "cpu" else device.device_kind
    return {"cores": cores, "cpu": _name_cpu(), "gpu": gpu}


def _name_cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _spell(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text}{unit}" if unit == "%" else f"{text} {unit}".rstrip()
