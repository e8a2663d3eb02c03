"""Memory of training on a table of a million rows, and whether many tasks make an outer step slow.

``python -m benchmarks.large_table`` makes a table of 10,000 tasks of 100 rows in a temporary
folder, trains on it by the command line in a process of its own, and prints that process's peak
memory; then the outer step on this table beside that on a table of 100 of the tasks, in turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fewstep import MAML
from fewstep.data import Table
from fewstep.data.tables.tasks import TableTasks
from fewstep.models.mlp import mlp

TASKS, FEW, ROWS = 10_000, 100, 100
"""Tasks of the large table and of the small one, and rows of a task."""
STEPS = 300
TURNS = 200
INPUTS = ["load", "heat", "age", "flow", "kind"]


def write(path: Path, tasks: int) -> None:
    """Write a table of so many tasks: linear in four inputs, each task with weights of its own."""
    random = np.random.default_rng(0)
    kinds = np.array(["brick", "glass", "steel", "stone", "wood"])
    for start in range(0, tasks, 1000):
        unit = np.repeat(np.arange(start, min(start + 1000, tasks)), ROWS)
        x = random.normal(size=(len(unit), 4))
        weights = 1 + 0.5 * random.normal(size=(len(unit) // ROWS, 4)).repeat(ROWS, 0)
        kind = random.integers(len(kinds), size=len(unit))
        target = (x * weights).sum(1) + 0.3 * kind + 0.3 * random.normal(size=len(unit))
        columns = dict(zip(INPUTS, [*x.T, kinds[kind]], strict=True))
        frame = pd.DataFrame({"unit": unit, **columns, "yield": target}).round(4)
        frame.to_csv(path, index=False, mode="a", header=not start)


def trained(path: Path, run: Path) -> tuple[float, float]:
    """Peak memory in GiB, and seconds, of training by the command line."""
    arguments = ["--task", "unit", "--target", "yield", "--k-shot", "10", "--steps", str(STEPS)]
    command = [sys.executable, "-m", "fewstep", "train", str(path), *arguments, "--run-dir"]
    started = time.perf_counter()
    process = os.posix_spawn(sys.executable, [*command, str(run)], os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} {run} failed")
    return usage.ru_maxrss / 2**20, time.perf_counter() - started


def outer_steps(path: Path) -> Iterator[float]:
    """Seconds of one outer step after another, drawing the tasks included.

    They are those of this thread: others that wait for the core do not count.
    """
    train, _, _ = Table(path, task="unit", target="yield").split(0.8, 0.1, 0.1)
    tasks = train.tasks(k_shot=10, q_query=15, min_k_shot=5)
    assert isinstance(tasks, TableTasks)
    torch.manual_seed(0)
    model = mlp(tasks.spec.example_shape[0], (40, 40), 1)
    learner = MAML(model, 0.05, 2, loss="mse")
    optimizer = torch.optim.Adam(learner.parameters())
    number = 0
    while True:
        started = time.thread_time()
        optimizer.zero_grad()
        learner(tasks.batch(range(number, number + 16))).backward()
        optimizer.step()
        yield time.thread_time() - started
        number += 16


def main() -> None:
    """Print both figures."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.csv"), Path(folder, "small.csv")
        write(large, TASKS)
        write(small, FEW)
        gib, seconds = trained(large, Path(folder, "run"))
        rows = TASKS * ROWS
        print(f"{rows:,} rows, {TASKS:,} tasks: peak {gib:.2f} GiB, {seconds:.0f} s", flush=True)
        steps = outer_steps(large), outer_steps(small)
        for _ in range(10):
            for step in steps:
                next(step)
        turns = [(next(steps[0]), next(steps[1])) for _ in range(TURNS)]
    of_many, of_few = (1000 * statistics.median(of) for of in zip(*turns, strict=True))
    ratio = statistics.median(many / few for many, few in turns)
    print(
        f"an outer step: {of_many:.1f} ms of {TASKS:,} tasks, {of_few:.1f} ms of {FEW}; "
        f"ratio {ratio:.2f}"
    )


if __name__ == "__main__":
    main()
