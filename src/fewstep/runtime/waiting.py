"""How OpenMP's threads wait for one another."""

from __future__ import annotations

import os

_VARIABLES = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
"""Of GNU's OpenMP, which PyTorch's Linux wheels bring, in turns of a loop of some hundredths of a
microsecond; and of LLVM's and Intel's, in milliseconds."""


def wait_briefly() -> None:
    """Let OpenMP's threads look for work for a short while only, then sleep.

    Unasked they look for it for milliseconds, on a core that another program may need: two runs on
    the cores of one take many times as long as one after the other. OpenMP reads these variables
    when it is loaded, so call it before PyTorch is imported. What the user has set stays.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "KMP_LIBRARY", *_VARIABLES}:
        os.environ.update(_VARIABLES)
