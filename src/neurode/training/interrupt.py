"""Ctrl-C and SIGTERM as a request to save and stop."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Inside `with`, the first SIGINT or SIGTERM only sets `requested`; a second one stops at once.

    Only the main thread may install handlers: elsewhere, and for a signal that the process
    ignores (as after `nohup`), nothing changes. The former handlers are back after the `with`.
    """

    def __init__(self) -> None:
        self.requested = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                former = signal.getsignal(number)
                # None: a handler that was not installed from Python and so cannot be put back.
                if former not in (signal.SIG_IGN, None):
                    self._former[number] = former
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt("stopped at once by a second signal, without saving")
        self.requested = True
