"""Outer steps of several ranks on this machine, and a model of those of up to 1,000.

``python -m benchmarks.ranks [REVISION]`` prints tables in Markdown, in three minutes, on a machine
that does nothing else: an outer step of W1 by one rank of one thread and by a rank a core (beside
an earlier revision's two processes, where it is given), the all-reduce of a flat gradient, and what
both come to for more ranks.
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
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fewstep import keep_memory

keep_memory()

import torch  # noqa: E402 - after the allocator is set
import torch.distributed as dist  # noqa: E402

from benchmarks.workloads import WORKLOADS  # noqa: E402
from fewstep import MAML  # noqa: E402
from fewstep.distributed.ranks import ranks  # noqa: E402

ROOT = Path(__file__).parents[1]
WORKLOAD = WORKLOADS["W1"]
CORES = os.cpu_count() or 1
TURNS, WARM_UP, STEPS = 15, 5, 3
"""Turns that count and that do not, and outer steps of a turn."""
SIZES = (0.1, 1.0, 10.0, 100.0)
"""Megabytes of a gradient."""
SHARES = (1, 2, 4, 8, 16)
"""Tasks of a rank."""


def main(revision: str | None) -> None:
    """Measure, and print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        groups = {"1 rank": Group(1), f"{CORES} ranks": Group(CORES)}
        if revision is not None:
            groups[f"{CORES} processes of {revision}"] = Earlier(revision, Path(folder, "earlier"))
        print(f"W1: {WORKLOAD.text}; milliseconds of an outer step\n\n" + turns(groups), flush=True)
        alone, together = groups["1 rank"], groups[f"{CORES} ranks"]
        of_share = {tasks: alone.ask(f"share {tasks}") for tasks in SHARES}
        of_share[WORKLOAD.tasks] = statistics.median(alone.seconds)
        jitter = statistics.pstdev(alone.seconds) / of_share[WORKLOAD.tasks]
        reduced = {size: together.ask(f"reduce {size}") for size in SIZES}
        size = sum(p.numel() for p in WORKLOAD.build(torch.float32).parameters()) * 4e-6
        here = fitted(reduced)
        for group in groups.values():
            group.stop()
    print(rows(("MB", "ms of an all-reduce"), [(f"{s:g}", ms(t)) for s, t in reduced.items()]))
    print(rows(("tasks of a rank", "ms"), [(f"{k}", ms(t)) for k, t in of_share.items()]))
    print(f"gradient: {size:.2f} MB; deviation of an outer step: {100 * jitter:.1f}%\n")
    for network in (here, *NETWORKS):
        print(prediction(network, of_share, size, jitter), flush=True)


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
        path = {"PYTHONPATH": os.pathsep.join((str(folder / "src"), str(folder)))}
        name = f"fewstep, {CORES} processes"
        self._processes = [_started([*command, name], folder, {**os.environ, **path})]

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
    alone = medians["1 rank"]
    told = [(name, ms(each), f"{alone / each:.2f}") for name, each in medians.items()]
    return rows(("", "ms", "times as fast as 1 rank"), told)


def worker() -> None:
    """One rank: answers one line with one line until there is no more."""
    torch.set_num_threads(1)
    here = ranks()
    model = WORKLOAD.build(torch.float32)
    learner = MAML(model, WORKLOAD.lr, WORKLOAD.steps, loss=WORKLOAD.loss)
    whole = WORKLOAD.batch(torch.float32)
    share = here.share(range(len(whole)))
    batch = whole[share.start : share.stop]

    def step() -> None:
        found = learner.differentiate(batch)
        here.mean_gradient(found, len(batch))

    for line in sys.stdin:
        match line.split():
            case ["steps", number]:
                print(_seconds(step, int(number)), flush=True)
            case ["share", number]:
                few = whole[: int(number)]
                timed = [_seconds(lambda few=few: learner.differentiate(few), 3) for _ in range(6)]
                print(statistics.median(timed[1:]), flush=True)
            case ["reduce", size]:
                flat = torch.zeros(int(float(size) * 250_000))
                timed = [_seconds(lambda flat=flat: dist.all_reduce(flat), 3) for _ in range(12)]
                print(statistics.median(timed[2:]), flush=True)


@dataclass(frozen=True)
class Network:
    """What an all-reduce is made of.

    Attributes:
        name: What it is, and where the figures are from.
        ranks: Of a machine.
        inside: Seconds of a message between two ranks of a machine.
        between: Seconds of a message between two machines.
        rate: Bytes a second of a rank that sends to another.
        start: Seconds that any all-reduce takes.
    """

    name: str
    ranks: int
    inside: float
    between: float
    rate: float
    start: float = 0.0

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


NETWORKS = (
    Network(
        "assumed: Ethernet of 10 Gb/s, 50 us a message, gloo, a rank a machine",
        *(1, 0.0, 5e-5, 1.1e9),
    ),
    Network(
        "assumed: NCCL, 8 GPUs a machine by NVLink, InfiniBand (NCCL's own constants)",
        *(8, 1.2e-6, 8.5e-6, 40e9, 4.4e-6),
    ),
)
"""NCCL's model of itself, ``src/graph/tuning.cc``: the tree with its protocol LL128 takes 4.4 us, 1.2
for each message by NVLink and 8.5 for each between machines, and moves at most 80 GB/s."""


def fitted(reduced: dict[float, float]) -> Network:
    """This machine's: what the smallest gradient takes, and the rate of the largest."""
    small, large = min(reduced), max(reduced)
    rate = (large - small) * 1e6 / (reduced[large] - reduced[small])
    # Two ranks send half of it twice.
    return Network(
        f"measured: gloo on this machine, {CORES} ranks, extrapolated",
        *(10**9, reduced[small] / 2, 0.0, rate),
    )


def prediction(network: Network, of_share: dict[int, float], size: float, jitter: float) -> str:
    """The table of one network: the same meta-batch on more ranks, and more tasks with them."""
    told, whole = [], WORKLOAD.tasks
    for ranks_ in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000):
        reduce = network.seconds(ranks_, size * 1e6)
        # All wait for the slowest one, whose deviation grows like that of a maximum.
        waits = 1 + jitter * math.sqrt(2 * math.log(ranks_))
        share = max(1, math.ceil(whole / ranks_))
        fixed = _interpolated(of_share, share) * waits + reduce
        more = of_share[whole] * waits + reduce
        told.append(
            (
                *(f"{ranks_:,}", ms(reduce), f"{share}"),
                *(ms(fixed), f"{100 * of_share[whole] / fixed / ranks_:.0f}%"),
                *(ms(more), f"{100 * of_share[whole] / more:.0f}%"),
            )
        )
    head = ("ranks", "ms, all-reduce", "tasks of a rank", f"ms, {whole} tasks in all", "efficiency")
    head += (f"ms, {whole} tasks a rank", "efficiency")
    return f"{network.name}\n\n{rows(head, told)}"


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
    return f"{1000 * seconds:.3g}"


def _seconds(call: Callable[[], object], number: int) -> float:
    began = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - began) / number


def _environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What ``torchrun`` gives a rank."""
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
