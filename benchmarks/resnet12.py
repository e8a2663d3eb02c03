"""Peak memory of one task with ResNet-12: 84x84 pictures, 5-way 5-shot 15-query, exact steps.

``python -m benchmarks.resnet12 [STEPS]`` prints it, beyond what the imports took.
"""

from __future__ import annotations

import resource
import sys

import torch

import fewstep
from fewstep.models import resnet12


def main(steps: int) -> None:
    """One meta-gradient in flat memory."""
    torch.manual_seed(0)
    before = _peak()
    learner = fewstep.MAML(resnet12(3, ways=5), inner_lr=0.01, inner_steps=steps, memory="flat")
    labels = torch.arange(5)[None]
    learner.meta_gradient(
        fewstep.TaskBatch(
            torch.rand(1, 25, 3, 84, 84),
            labels.repeat_interleave(5, 1),
            torch.rand(1, 75, 3, 84, 84),
            labels.repeat_interleave(15, 1),
        )
    )
    print(f"{steps} inner steps: {_peak() - before:.2f} GiB above the imports")


def _peak() -> float:
    """In GiB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
