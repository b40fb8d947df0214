"""What the demonstration is doing, said on standard error, and how long each part of it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TextIO


class Stages:
    """Parts of a piece of work, announced and timed.

    A terminal shows what is going on while it goes on; anything else (a file, a pipe) gets plain
    lines.

    Attributes:
        seconds: title -> part -> seconds, in the order in which they were done.
    """

    def __init__(self, *, shown: bool = True, stream: TextIO | None = None):
        """Begin with nothing done.

        Args:
            shown: False says nothing, and only measures.
            stream: where to; None is standard error.
        """
        self.seconds: dict[str, dict[str, float]] = {}
        self.shown = shown
        self._stream = sys.stderr if stream is None else stream
        self._title = ""

    def begin(self, title: str) -> None:
        """Open a new piece of work.

        Args:
            title: what it is.
        """
        self._title = title
        self.seconds[title] = {}
        self.say(title)

    def say(self, line: str) -> None:
        """Print a line, if anything is printed at all."""
        if self.shown:
            print(line, file=self._stream, flush=True)

    @contextmanager
    def part(self, what: str, *, has_bar: bool = False) -> Iterator[None]:
        """Announce a part, and time it.

        Args:
            what: what is being done, such as "fitting a network".
            has_bar: it shows its own progress, and needs no spinner.
        """
        start = time.perf_counter()
        live = self.shown and self._stream.isatty()
        if not live:
            self.say(f"  {what} ...")
        with _spin(what, self._stream) if live and not has_bar else nullcontext():
            yield
        took = time.perf_counter() - start
        parts = self.seconds.setdefault(self._title, {})
        parts[what] = parts.get(what, 0.0) + took
        self.say(f"  {what}: {took:.1f} s" if live else f"    {took:.1f} s")


def _spin(what: str, stream: TextIO) -> Any:
    from rich.console import Console

    return Console(file=stream).status(f"{what} ...")
