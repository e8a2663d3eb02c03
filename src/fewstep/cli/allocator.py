"""How the process of the command line gets its memory."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``."""


def keep_memory() -> None:
    """Keep the memory of large tensors for the next outer step, in large pages.

    glibc hands every large block back to the system at once, and the system clears each page of
    it anew: on two CPU cores a third of the time of an outer step with 32 tasks. Call it before
    PyTorch is imported. Does nothing where there is no glibc.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
