"""Metrics of a run, in memory and as one JSON line per record.

A training record is `{"step": 12, "loss": ..., "gradient_norm": ..., "nfe_forward": ..., ...}`
for the 12th update; a record of the callback is `{"step": 12, "kind": "evaluation", ...}`. What
is not finite is written as null, because JSON has no word for it.
"""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neurode.store import saving

_EVALUATION = "evaluation"


class MetricsLog:
    """Collects records; with a path it also appends them to that file."""

    def __init__(self, path: Path | None = None, *, resume_at: int | None = None):
        """Opens the log.

        Args:
            path: the JSON-lines file, or None to keep the records in memory only.
            resume_at: None starts an empty file. A step keeps the records up to it, reads them,
                and cuts off what a killed run wrote after its last checkpoint.

        Raises:
            SaveError: the file cannot be written.
        """
        self._steps: list[dict[str, np.ndarray]] = []
        self._evaluations: list[dict[str, np.ndarray]] = []
        self._path = path
        self._file: BinaryIO | None = None
        if path is not None:
            with saving(path):
                end = 0
                if resume_at is not None and path.exists():
                    end = self._read(path.read_bytes(), resume_at)
                self._file = open(path, "ab")  # noqa: SIM115  (open as long as the run)
                self._file.truncate(end)

    def append_steps(self, records: Mapping[str, np.ndarray]) -> None:
        """Adds records given as columns of equal length; one of them is "step"."""
        if len(records["step"]) > 0:
            self._steps.append(dict(records))
            self._write(records)

    def append_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds what the callback found after update number `step`."""
        columns = {name: np.array([value]) for name, value in metrics.items()}
        self._evaluations.append({"step": np.array([step])} | columns)
        self._write({"step": np.array([step]), "kind": np.array([_EVALUATION])} | columns)

    def sync(self) -> None:
        """Forces the file to disk: a checkpoint must never be newer than its metrics."""
        if self._file is not None:
            with saving(self._path or ""):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; the history stays."""
        if self._file is not None:
            with suppress(OSError):  # every write was flushed, or its failure reported, before
                self._file.close()

    def history(self) -> dict[str, np.ndarray]:
        """Metric -> values, aligned with history["step"].

        The callback's come as "evaluation/NAME", aligned with history["evaluation/step"]. A
        metric that a record lacks is NaN there.
        """
        evaluations = _concatenate(self._evaluations)
        named = {f"{_EVALUATION}/{name}": values for name, values in evaluations.items()}
        return _concatenate(self._steps) | named

    def _write(self, columns: Mapping[str, np.ndarray]) -> None:
        if self._file is not None:
            rows = zip(*map(_writable, columns.values()), strict=True)
            lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
            with saving(self._path or ""):
                self._file.write(("\n".join(lines) + "\n").encode())
                self._file.flush()

    def _read(self, data: bytes, last_step: int) -> int:
        """Takes in the records up to `last_step`; returns where in the file they end."""
        rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        end = 0
        for line in data.splitlines(keepends=True):
            try:
                row = json.loads(line)
                is_kept = line.endswith(b"\n") and row["step"] <= last_step
            except (ValueError, KeyError, TypeError):
                break  # the line at which the process was killed
            if not is_kept:
                break
            end += len(line)
            rows[row.pop("kind", None) == _EVALUATION].append(row)
        self._steps, self._evaluations = _columns(rows[False]), _columns(rows[True])
        return end


def _writable(column: np.ndarray) -> list:
    if column.dtype.kind != "f" or np.isfinite(column).all():
        return column.tolist()
    return [value if math.isfinite(value) else None for value in column.tolist()]


def _columns(rows: list[dict[str, Any]]) -> list[dict[str, np.ndarray]]:
    """Rows as tables of equal column names, in order."""
    tables: list[dict[str, list]] = []
    for row in rows:
        if not tables or tables[-1].keys() != row.keys():
            tables.append({name: [] for name in row})
        for name, value in row.items():
            tables[-1][name].append(math.nan if value is None else value)
    return [{name: np.array(column) for name, column in table.items()} for table in tables]


def _concatenate(tables: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = list(dict.fromkeys(name for table in tables for name in table))
    missing = [np.full(len(table["step"]), math.nan) for table in tables]
    return {
        name: np.concatenate([t.get(name, m) for t, m in zip(tables, missing, strict=True)])
        for name in names
    }
