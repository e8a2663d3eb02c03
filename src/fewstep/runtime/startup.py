"""Settings of a process that count only before PyTorch is imported."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``."""
_WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
"""Variables of GNU's OpenMP, which PyTorch's Linux wheels bring, in turns of a loop of some
hundredths of a microsecond; and of LLVM's and Intel's, in milliseconds."""


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


def wait_briefly() -> None:
    """Let OpenMP's threads look for work for a short while only, then sleep.

    Unasked they look for it for milliseconds, on a core that another program may need: two runs on
    the cores of one take many times as long as one after the other. What the user has set stays.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "KMP_LIBRARY", *_WAITING}:
        os.environ.update(_WAITING)
