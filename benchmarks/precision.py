"""How far each precision's gradient is from that in float64, and how long it takes.

``python -m benchmarks.precision`` prints a table in Markdown.
"""

from __future__ import annotations

import statistics
import time

from fewstep import keep_memory

keep_memory()

import torch  # noqa: E402 - after the allocator is set

from benchmarks.workloads import WORKLOADS, Workload  # noqa: E402
from fewstep import MAML  # noqa: E402

REPEATS = 5


def main() -> None:
    """All workloads, float32 and bfloat16."""
    print("| workload | precision | deviation | cosine | ms |\n|---|---|---|---|---|")
    for workload in WORKLOADS.values():
        exact, _ = _measured(workload, torch.float64, "float32", 1)
        for precision in ("float32", "bf16"):
            found, ms = _measured(workload, torch.float32, precision, REPEATS)
            deviation = float((found - exact).norm() / exact.norm())
            cosine = float(torch.nn.functional.cosine_similarity(found, exact, dim=0))
            print(
                f"| {workload.name} | {precision} | {deviation:.1e} | {cosine:.5f} | {ms:.0f} |",
                flush=True,
            )


def _measured(
    workload: Workload, dtype: torch.dtype, precision: str, repeats: int
) -> tuple[torch.Tensor, float]:
    """The gradient in one vector, and the median milliseconds after a first call."""
    model, tasks = workload.build(dtype), workload.batch(dtype)
    learner = MAML(model, workload.lr, workload.steps, loss=workload.loss, precision=precision)
    _, gradient = learner.meta_gradient(tasks)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        learner.meta_gradient(tasks)
        seconds.append(time.perf_counter() - began)
    found = torch.cat([value.double().flatten() for value in gradient.values()])
    return found, 1000 * statistics.median(seconds)


if __name__ == "__main__":
    main()
