"""Ctrl-C and SIGTERM: during training at the end of an outer step, elsewhere at once."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 1.0  # seconds after which a further signal is another one


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The user stopped the run, which can go on from there; the message says where it stopped."""


@contextmanager
def quiet_end(for_good: bool = True) -> Iterator[None]:
    """Let SIGTERM stop what is inside as Ctrl-C does, and further signals not disturb the end.

    Inside, either of them raises KeyboardInterrupt, and those that follow at once do nothing. Once
    that or `Interrupted` leaves it, signals are ignored for good, because the process has nothing
    to do any more but to end. Otherwise they are handled as before.

    With ``for_good=False`` they are in any case: the process has something to do afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped = -math.inf

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        if time.monotonic() - stopped > AGAIN:
            stopped = time.monotonic()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        if for_good:
            before = dict.fromkeys(SIGNALS, signal.SIG_IGN)
        # Python ends by SIGINT, whatever the exit status, where Ctrl-C met code made from text, as
        # imports of PyTorch do; the next such code makes it forget that.
        exec("")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupt:
    """While it is entered, a first signal only sets `requested`; one that is given again acts.

    Those that follow at once are the same: launchers and schedulers hand on what the process has.
    """

    def __init__(self) -> None:
        self.requested = False
        self._since = math.inf
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "Interrupt":
        # Python lets only the main thread handle signals; elsewhere they are someone else's.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _request(self, number: int, _frame: FrameType | None) -> None:
        if not self.requested:
            self.requested, self._since = True, time.monotonic()
        elif time.monotonic() - self._since > AGAIN:
            self.__exit__()
            signal.raise_signal(number)
