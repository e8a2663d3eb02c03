"""Outer steps of several ranks on this machine, and a model of those of up to 1,000.

``python -m benchmarks.ranks [REVISION]`` writes ``benchmarks/results/ranks.md`` in three minutes on
a machine that does nothing else: an outer step of W1 by one rank of one thread and by a rank a core
(beside the processes of an earlier revision, where it is given), the all-reduce of a flat gradient,
and what both come to for more ranks.
"""

from __future__ import annotations

import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from fewstep import keep_memory

keep_memory()

import torch  # noqa: E402 - after the allocator is set

from benchmarks.report import machine  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402
from fewstep import MAML  # noqa: E402
from fewstep.distributed.ranks import joined  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ranks.md"
WORKLOAD = WORKLOADS["W1"]
CORES = os.cpu_count() or 1
TURNS, WARM_UP, STEPS = 15, 5, 3
"""Turns that count and that do not, and outer steps of a turn."""
NUMBERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
"""Of ranks, in the model."""
SIZES = (0.1, 1.0, 10.0, 100.0)
"""Megabytes of a gradient."""
SHARES = (1, 2, 4, 8, 16, WORKLOAD.tasks)
"""Tasks of a rank."""
ALONE = "1 rank"


def main(revision: str | None) -> None:
    """Measure, and write the page."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        groups = {ALONE: Group(1), f"{CORES} ranks": Group(CORES)}
        if revision is not None:
            groups[f"{CORES} processes of {revision}"] = Earlier(revision, Path(folder, "earlier"))
        for group in groups.values():
            stack.callback(group.stop)
        steps = turns(groups)
        alone, together = groups[ALONE], groups[f"{CORES} ranks"]
        of_share = {tasks: alone.ask(f"share {tasks}") for tasks in SHARES}
        deviation = alone.ask("deviation 30") / of_share[WORKLOAD.tasks]
        reduced = {size: together.ask(f"reduce {size}") for size in SIZES}
    size = sum(p.numel() for p in WORKLOAD.build(torch.float32).parameters()) * 4e-6
    parts = [
        f"# Several ranks\n\n`python -m benchmarks.ranks {revision or ''}`, "
        f"{machine().rpartition(',')[0]}, {CORES} cores. "
        f"W1: {WORKLOAD.text}; a gradient of {size:.2f} MB; outer steps of one rank deviate by "
        f"{100 * deviation:.1f}%.\n",
        steps,
        rows(("tasks of a rank", "ms"), [(f"{k}", ms(t)) for k, t in of_share.items()]),
        rows(
            ("MB", f"ms of an all-reduce, {CORES} ranks here"),
            [(f"{s:g}", ms(t)) for s, t in reduced.items()],
        ),
        MODEL,
        *(prediction(n, of_share, size, deviation) for n in (fitted(reduced), *NETWORKS)),
        on_gpus(size),
    ]
    page = "\n".join(parts)
    RESULTS.write_text(page)
    print(page)


class Group:
    """Processes that take outer steps together when they are told to."""

    def __init__(self, size: int) -> None:
        port = _free_port()
        self.seconds: list[float] = []
        self._processes = [
            _started([sys.executable, "-W", "ignore", "-m", "benchmarks.ranks", "worker"], ROOT, e)
            for e in (_environment(rank, size, port) for rank in range(size))
        ]

    def ask(self, line: str) -> float:
        """The seconds that the first of them tells, when all are done."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write(line + "\n")
            process.stdin.flush()
        told = [process.stdout.readline() for process in self._processes if process.stdout]
        return float(told[0])

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.communicate()


class Earlier(Group):
    """The processes of an earlier revision, which sent tasks and weights to one another."""

    def __init__(self, revision: str, folder: Path) -> None:
        self.seconds = []
        self._folder = folder
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(folder), revision],
            cwd=ROOT,
            check=True,
        )
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.worker", WORKLOAD.name]
        path = os.pathsep.join((str(folder / "src"), str(folder)))
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(CORES)}
        name = f"fewstep, {CORES} processes"
        self._processes = [_started([*command, name], folder, environment)]

    def stop(self) -> None:
        """End the processes, and take the revision away."""
        super().stop()
        command = ["git", "worktree", "remove", "--force", str(self._folder)]
        subprocess.run(command, cwd=ROOT, check=True)


def turns(groups: dict[str, Group]) -> str:
    """Let them take turns; the table of their medians."""
    for turn in range(WARM_UP + TURNS):
        for group in groups.values():
            seconds = group.ask(f"steps {STEPS}")
            if turn >= WARM_UP:
                group.seconds.append(seconds)
    medians = {name: statistics.median(group.seconds) for name, group in groups.items()}
    alone = medians[ALONE]
    told = [(name, ms(each), f"{alone / each:.2f}") for name, each in medians.items()]
    return rows(("", "ms", "times as fast as 1 rank"), told)


def worker() -> None:
    """One rank: answers one line with one line until there is no more."""
    torch.set_num_threads(1)
    model = WORKLOAD.build(torch.float32)
    learner = MAML(model, WORKLOAD.lr, WORKLOAD.steps, loss=WORKLOAD.loss)
    whole = WORKLOAD.batch(torch.float32)
    with joined() as ranks:
        numbers = ranks.share(range(len(whole)))
        own = whole[numbers.start : numbers.stop]

        def step() -> None:
            gradient = learner.differentiate(own).gradient
            flat = torch.cat([g.flatten() for g in gradient.values()])
            ranks.sum(flat.mul_(len(own) / len(whole)))

        for line in sys.stdin:
            match line.split():
                case ["steps", number]:
                    told = statistics.mean(_timed(step, int(number)))
                case ["deviation", number]:
                    told = statistics.pstdev(_timed(step, int(number)))
                case ["share", number]:
                    few = whole[: int(number)]
                    of_few = _timed(partial(learner.differentiate, few), 14)
                    told = statistics.median(of_few[4:])
                case ["reduce", size]:
                    flat = torch.zeros(int(float(size) * 250_000))
                    told = statistics.median(_timed(partial(ranks.sum, flat), 24)[4:])
            print(told, flush=True)


@dataclass(frozen=True)
class Network:
    """The parts of an all-reduce.

    Attributes:
        name: What it is, and where the figures are from.
        ranks: Of a machine.
        inside: Seconds of a message between two ranks of a machine.
        between: Seconds of a message between two machines.
        rate: Bytes a second of a rank that sends to another.
        start: Seconds that any all-reduce takes.
        most: Ranks that it may have.
    """

    name: str
    ranks: int
    inside: float
    between: float
    rate: float
    start: float = 0.0
    most: int = 1000

    def seconds(self, ranks: int, size: float) -> float:
        """The faster one of a ring and of a chain in each machine with a tree of the machines."""
        if ranks == 1:
            return 0.0
        here, machines = min(ranks, self.ranks), math.ceil(ranks / self.ranks)
        ring = 2 * (ranks - machines) * self.inside + 2 * (machines - 1) * self.between
        ring += 2 * (ranks - 1) / ranks * size / self.rate
        tree = 2 * ((here - 1) * self.inside + math.ceil(math.log2(machines)) * self.between)
        tree += 2 * size / self.rate
        return self.start + min(ring, tree)


MODEL = """## More ranks, by the model

All ranks wait for the slowest one, whose step is longer by its deviation times sqrt(2 ln n); then
for the all-reduce, the faster one of a ring and a tree. Efficiency is that of one rank's time: its
inverse is what a task costs in time of ranks. Networks are assumptions, and say so.
"""
ETHERNET = Network(
    "Assumed: a rank a machine, Ethernet of 10 Gb/s at 1.1 GB/s, 50 us a message",
    *(1, 0.0, 5e-5, 1.1e9),
)
INFINIBAND = Network(
    "Assumed: 8 GPUs a machine and NCCL; 4.4 us for any all-reduce, 1.2 us for each message by "
    "NVLink and 8.5 us by InfiniBand, 80 GB/s (the constants by which NCCL chooses a tree: "
    "`src/graph/tuning.cc`)",
    *(8, 1.2e-6, 8.5e-6, 80e9, 4.4e-6),
)
NETWORKS = (ETHERNET,)
ON_H100, GPU_DEVIATES = 3.97e-3, 0.01
"""Seconds of an outer step of W1, ``results/gpu-h100.md``, and their deviation, an assumption."""


def fitted(reduced: dict[float, float]) -> Network:
    """This machine's: what the smallest gradient takes, and the rate of the largest."""
    small, large = min(reduced), max(reduced)
    rate = (large - small) * 1e6 / (reduced[large] - reduced[small])
    # Two ranks send half of it twice.
    return Network(
        f"By gloo as it was here between {CORES} ranks, on one machine with a core for each",
        *(10**9, reduced[small] / 2, 0.0, rate, 0.0, 128),
    )


def prediction(network: Network, of_share: dict[int, float], size: float, deviation: float) -> str:
    """The table of one network: the same meta-batch on more ranks, and more tasks with them."""
    told, whole = [], WORKLOAD.tasks
    for number in NUMBERS[: sum(n <= network.most for n in NUMBERS)]:
        reduce, waits = network.seconds(number, size * 1e6), _slowest(number, deviation)
        share = max(1, math.ceil(whole / number))
        fixed = _interpolated(of_share, share) * waits + reduce
        more = of_share[whole] * waits + reduce
        row = (
            f"{number:,}",
            ms(reduce),
            f"{share}",
            ms(fixed),
            _share(of_share[whole] / number, fixed),
        )
        told.append((*row, ms(more), _share(of_share[whole], more)))
    head = "ranks", "ms, all-reduce", "tasks of a rank", f"ms, {whole} tasks in all", "efficiency"
    return f"{network.name}:\n\n{rows((*head, f'ms, {whole} tasks a rank', 'efficiency'), told)}"


def on_gpus(size: float) -> str:
    """The same for GPUs, of which only an outer step of all tasks was measured."""
    told = []
    for number in NUMBERS:
        reduce = INFINIBAND.seconds(number, size * 1e6)
        more = ON_H100 * _slowest(number, GPU_DEVIATES) + reduce
        told.append((f"{number:,}", ms(reduce), ms(more), _share(ON_H100, more)))
    whole = f"ms, {WORKLOAD.tasks} tasks a rank of {ms(ON_H100)} ms on an H100"
    table = rows(("ranks", "ms, all-reduce", whole, "efficiency"), told)
    return f"{INFINIBAND.name}; outer steps deviate by {100 * GPU_DEVIATES:g}%:\n\n{table}"


def _slowest(ranks: int, deviation: float) -> float:
    """How many times as long as the mean the slowest rank's step is, were they normal."""
    return 1 + deviation * math.sqrt(2 * math.log(ranks))


def _share(seconds: float, of: float) -> str:
    return f"{100 * seconds / of:.0f}%"


def _interpolated(of_share: dict[int, float], tasks: int) -> float:
    for low, high in pairwise(sorted(of_share)):
        if tasks <= high:
            part = max(tasks - low, 0) / (high - low)
            return of_share[low] + part * (of_share[high] - of_share[low])
    return of_share[max(of_share)]


def rows(head: tuple[str, ...], told: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *told]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def ms(seconds: float) -> str:
    """Milliseconds with three digits."""
    return f"{1000 * seconds:,.0f}" if seconds >= 0.1 else f"{1000 * seconds:.3g}"


def _timed(call: Callable[[], object], number: int) -> list[float]:
    """The seconds of each call."""
    found = []
    for _ in range(number):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


def _environment(rank: int, size: int, port: int) -> dict[str, str]:
    """The variables that ``torchrun`` gives a rank."""
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **{n: str(v) for n, v in told.items()}, **meeting, "PYTHONPATH": path}


def _started(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, cwd=folder, env=environment
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        worker()
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else None)
