"""Ctrl-C and SIGTERM: during training at the end of an outer step, elsewhere at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The user stopped the run, which can go on from there; the message says where it stopped."""


@contextmanager
def quiet_end() -> Iterator[None]:
    """Let SIGTERM stop what is inside as Ctrl-C does, and further signals not disturb the end.

    Inside, either of them raises KeyboardInterrupt. Once that or `Interrupted` leaves it, signals
    are ignored for good, because the process has nothing to do any more but to end. Otherwise they
    are handled as before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in SIGNALS}
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        before = dict.fromkeys(SIGNALS, signal.SIG_IGN)
        # Python ends by SIGINT, whatever the exit status, where Ctrl-C met code made from text, as
        # imports of PyTorch do; the next such code makes it forget that.
        exec("")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Interrupt:
    """While it is entered, a first signal only sets `requested`; a second one acts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Interrupt:
        # Python lets only the main thread handle signals; elsewhere they are someone else's.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
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
