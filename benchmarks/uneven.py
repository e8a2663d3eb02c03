"""Outer steps on tasks of different sizes, beside as many even ones of the largest size, in turns.

``python -m benchmarks.uneven`` prints, for 16 and 32 tasks of 2 to 10 support and 5 to 15 query
rows, the ratio to the even ones of a step that masks the padding, and of one that computes tasks by
their sizes.
"""

from __future__ import annotations

import statistics
import time
from unittest.mock import patch

import torch

from fewstep import MAML, TaskBatch
from fewstep.execution import padding
from fewstep.models.mlp import mlp

TURNS, OF_SIZES = 40, 8
"""Turns in which padding is masked, and those in which tasks are computed by their sizes."""


def tasks(number: int) -> tuple[TaskBatch, TaskBatch]:
    """Tasks of sizes that are drawn, and even ones of the largest sizes among them."""
    torch.manual_seed(0)
    rows = []
    for _ in range(number):
        sizes = int(torch.randint(2, 11, ())), int(torch.randint(5, 16, ()))
        support, query = (torch.randn(of, 9).split((8, 1), 1) for of in sizes)
        rows.append((*support, *query))
    uneven = TaskBatch.stack(rows)
    return uneven, uneven.with_tensors(map(torch.randn_like, uneven.tensors))


def seconds(learner: MAML, batch: TaskBatch) -> float:
    """Of this thread: others that wait for the core do not count."""
    started = time.thread_time()
    learner.meta_gradient(batch)
    return time.thread_time() - started


def main() -> None:
    """Print a line for each number of tasks."""
    torch.set_num_threads(1)
    for number in (16, 32):
        uneven, even = tasks(number)
        learner = MAML(mlp(8, (40, 40), 1), 0.05, 3, loss="mse")
        masked, by_sizes = [], []
        for turn in range(-3, TURNS):
            # Each once before it counts, as the other's memory is in the caches.
            seconds(learner, even)
            of_even = seconds(learner, even)
            seconds(learner, uneven)
            ratio = seconds(learner, uneven) / of_even
            masked += [ratio] if turn >= 0 else []
        with patch.object(padding, "MOST_GROUPS", number):
            for _ in range(OF_SIZES):
                of_even = seconds(learner, even)
                by_sizes.append(seconds(learner, uneven) / of_even)
        print(
            f"{number} tasks of {uneven.different_sizes} sizes, in outer steps of even ones: "
            f"masked {statistics.median(masked):.2f}, by sizes {statistics.median(by_sizes):.1f}"
        )


if __name__ == "__main__":
    main()
