"""The plan that fewstep chooses beside the plain loop, for few tasks and for many.

``python -m benchmarks.plans WORKLOAD ...`` prints a table in Markdown.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace

from fewstep import keep_memory

keep_memory()

import torch  # noqa: E402 - after the allocator is set

from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402
from fewstep import MAML  # noqa: E402

TASKS = (1, 2, 4, 8, 25, 50, 200)
TURNS = 7


def main(names: list[str]) -> None:
    """Both plans in turn, after a first call of each."""
    print("| workload | tasks | ms, loop | ms, chosen | ratio |\n|---|---|---|---|---|")
    for name in names:
        for number in TASKS:
            loop, chosen = measure(replace(WORKLOADS[name], tasks=number))
            ratio = chosen / loop
            print(f"| {name} | {number} | {loop:.1f} | {chosen:.1f} | {ratio:.2f} |", flush=True)


def measure(workload: Workload) -> tuple[float, float]:
    """Median milliseconds of an outer gradient by the loop and by the chosen plan."""
    tasks, model = workload.batch(torch.float32), workload.build(torch.float32)
    learners = [
        MAML(model, workload.lr, workload.steps, loss=workload.loss, execution=execution)
        for execution in ("loop", "auto")
    ]
    seconds: list[list[float]] = [[], []]
    for turn in range(TURNS + 1):
        for learner, times in zip(learners, seconds, strict=True):
            began = time.perf_counter()
            learner.meta_gradient(tasks)
            if turn:
                times.append(time.perf_counter() - began)
    loop, chosen = (1000 * statistics.median(times) for times in seconds)
    return loop, chosen


if __name__ == "__main__":
    main(sys.argv[1:])
