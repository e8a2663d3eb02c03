"""How a process gets the memory of its tensors."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``."""


def keep_memory() -> None:
    """Keep the memory of large tensors for the next outer step, in large pages.

    glibc hands every large block back to the system at once, and the system clears each page of
    it anew: up to a third of the time of an outer step on a CPU. After this the process keeps what
    it has ever needed at once until it ends, which is why only the command line does it by itself.
    Call it once, before PyTorch is imported; processes that are forked later do the same. Does
    nothing where there is no glibc.

    >>> import fewstep
    >>> fewstep.keep_memory()
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
