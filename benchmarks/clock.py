"""The time that a measurement may take."""

from __future__ import annotations

import time


class Clock:
    """The time that there is.

    Args:
        seconds: From now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self._began = seconds, time.monotonic()

    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def left(self, share: float = 1.0) -> float:
        """Seconds until a share of the time is over."""
        return max(0.0, share * self.seconds - self.passed())
