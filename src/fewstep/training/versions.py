"""What a run was computed with."""

from __future__ import annotations

import platform

import numpy
import torch

import fewstep


def versions() -> dict[str, str]:
    """fewstep, what it stands on, and the machine."""
    return {
        "fewstep": fewstep.__version__,
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
    }
