"""Child processes that end with their parent, however it ends."""

import os
import time
from collections.abc import Callable


def end_with(parent: int, last: Callable[[], object] = int) -> None:
    """End this process soon after its parent, and do this ``last``; for a thread of its own."""
    while os.getppid() == parent:
        time.sleep(1)
    last()
    os._exit(1)
