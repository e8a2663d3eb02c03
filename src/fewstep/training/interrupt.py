"""Ctrl-C and SIGTERM, taken at the end of an outer step and never in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The user stopped the run; everything up to the last outer step is saved."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after outer step {step}")
        self.step = step


class Interrupt:
    """While it is entered, a first signal only sets `requested`; a second one acts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Interrupt:
        # Python lets only the main thread handle signals; elsewhere they are someone else's.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
