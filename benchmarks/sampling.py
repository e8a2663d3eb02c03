"""How much of an outer step is spent on making its tasks.

``python -m benchmarks.sampling RECIPE ...`` prints a table in Markdown. FEWSTEP_DATA is the folder
that holds ``omniglot/``.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace

from fewstep import keep_memory

keep_memory()

from fewstep.cli.options import data_folder  # noqa: E402 - after the allocator is set
from fewstep.config.recipes import find_recipe  # noqa: E402
from fewstep.data.registry import task_sources  # noqa: E402
from fewstep.learners.build import learner_for  # noqa: E402

STEPS = 50


def main(names: list[str]) -> None:
    """Fifty outer steps of each recipe, without the first three."""
    print("| recipe | ms for the tasks | ms for the gradient | share |\n|---|---|---|---|")
    for name in names:
        waiting, working = measure(name)
        share = waiting / (waiting + working)
        print(f"| {name} | {waiting:.2f} | {working:.1f} | {share:.1%} |", flush=True)


def measure(name: str) -> tuple[float, float]:
    """Mean milliseconds for the tasks of an outer step, and for its gradient."""
    config = replace(find_recipe(name).config, data_dir=data_folder(None))
    sampler = task_sources(config)["train"]
    learning = learner_for(config, sampler.spec)
    made, computed = [], []
    for step in range(STEPS):
        began = time.perf_counter()
        tasks = sampler.batch(range(step * config.meta_batch, (step + 1) * config.meta_batch))
        ready = time.perf_counter()
        learning.differentiate(tasks)
        made.append(ready - began)
        computed.append(time.perf_counter() - ready)
    return 1000 * statistics.mean(made[3:]), 1000 * statistics.mean(computed[3:])


if __name__ == "__main__":
    main(sys.argv[1:])
