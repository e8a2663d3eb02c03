"""How often one client may ask: a token bucket each."""

import time
from collections import OrderedDict
from collections.abc import Callable


class Rate:
    """So many requests at once, and so many a second from then on.

    >>> rate = Rate(burst=1, per_second=0.5, now=lambda: 0.0)
    >>> rate.wait("a"), rate.wait("a"), rate.wait("b")
    (0.0, 2.0, 0.0)
    """

    MOST_CLIENTS = 1000  # that are remembered, those that asked last

    def __init__(
        self, burst: int, per_second: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_second, self._now = burst, per_second, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """0 where the client may ask now, which counts; else the seconds until it may."""
        now = self._now()
        left, since = self._left.pop(client, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        may = left >= 1
        self._left[client] = (left - may, now)
        if len(self._left) > self.MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if may else (1 - left) / self._per_second
