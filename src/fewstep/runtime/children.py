"""Child processes that end with their parent, however it ends."""

import os
import time


def end_with(parent: int) -> None:
    """End this process soon after its parent; for a thread of its own."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
