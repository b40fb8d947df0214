"""What a person sees of a fit: a bar in a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

import numpy as np

_LINE_SECONDS = 5.0
_LATEST = 50  # steps the shown numbers are means of, at most
_FORGET = 0.3  # weight of the newest dispatch in the seconds a step takes


class Progress:
    """Shows step, loss, function evaluations and the time left on standard error.

    A terminal gets a bar, anything else (a file, a pipe) a plain line about every five seconds
    and one at the end. With `shown=False` nothing is ever printed.
    """

    def __init__(self, total: int, *, start: int = 0, shown: bool = True):
        self._total, self._step = total, start
        self._shown = shown
        self._stream: TextIO = sys.stderr
        self._bar: Any = None
        self._task: Any = None
        self._status = ""
        self._step_seconds: float | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._shown and self._stream.isatty():
            self._bar = _rich_bar(self._stream)
            self._task = self._bar.add_task(
                "training", total=self._total, completed=self._step, status="compiling"
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, records: Mapping[str, np.ndarray], seconds: float, *, is_first: bool) -> None:
        """Takes in one dispatch.

        Args:
            records: its metrics as columns.
            seconds: how long it took.
            is_first: its time includes the compilation and says nothing about the rest.
        """
        if not self._shown:
            return
        steps = len(records["step"])
        self._step = int(records["step"][-1])
        if not is_first:
            latest = seconds / steps
            before = latest if self._step_seconds is None else self._step_seconds
            self._step_seconds = (1 - _FORGET) * before + _FORGET * latest
        self._status = describe_records(records)
        if self._bar is not None:
            status = f"{self._status}  {self._left()}"
            self._bar.update(self._task, completed=self._step, status=status)
        elif time.monotonic() - self._last_line >= _LINE_SECONDS:
            self.print(f"step {self._step}/{self._total}  {self._status}  {self._left()}")

    def finish(self, message: str) -> None:
        """The last line."""
        self.print(f"step {self._step}/{self._total}  {self._status}  {message}")

    def print(self, line: str) -> None:
        """A plain line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        elif self._shown:
            print(line, file=self._stream, flush=True)
            self._last_line = time.monotonic()

    def _left(self) -> str:
        if self._step_seconds is None:
            return "left ?"
        return f"left {spell_seconds((self._total - self._step) * self._step_seconds)}"


def describe_records(records: Mapping[str, np.ndarray]) -> str:
    """Loss and, where the objective counts them, function evaluations: means of the latest steps.

    Steps of which something was not finite do not count, unless there are no others.
    """
    latest = {name: values[-_LATEST:] for name, values in records.items()}
    is_finite = np.isfinite(latest["loss"])
    shown = {name: values[is_finite | ~is_finite.any()] for name, values in latest.items()}
    text = f"loss {np.mean(shown['loss']):.4g}"
    if "nfe_forward" in shown:
        forward, backward = np.mean(shown["nfe_forward"]), np.mean(shown["nfe_backward"])
        text += f"  nfe {forward:.0f} forward {backward:.0f} backward"
    return text


def spell_seconds(seconds: float) -> str:
    """3725.0 -> "1:02:05", 65.0 -> "1:05", 5.04 -> "5.0 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _rich_bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        console=Console(file=stream),
    )
