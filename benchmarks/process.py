"""A library in a process of its own, as `benchmarks.worker`, and several taking turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

WARM_UP, REPEATS = 6, 10
"""Turns that do not count, while the memory of a process still grows, and turns that do."""
TURN = 0.3
"""Seconds that a library spends on steps, one after another, at each of its turns."""


class Worker:
    """A process that holds one library and one workload."""

    def __init__(self, workload: str, library: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.worker", workload, library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str) -> str:
        """Send one line, wait for the answer.

        Raises:
            RuntimeError: The process ended; holds the last line of what it complained of.
        """
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            lines = self.process.stderr.read().strip().splitlines()
            raise RuntimeError(lines[-1] if lines else "ended without a word")
        return answer.strip()

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


class Timing(NamedTuple):
    """How a library did.

    Attributes:
        seconds: Of an outer step, the median.
        setup: Seconds of the preparation and the first step, beyond those of an ordinary step.
        peak_mib: The most memory beyond what the imports took.
    """

    seconds: float
    setup: float
    peak_mib: float


def take_turns(workload: str, libraries: Iterable[str]) -> dict[str, Timing | str]:
    """The timing of each library, all interleaved; or the last words of one that ended."""
    workers = {library: Worker(workload, library) for library in libraries}
    seconds: dict[str, list[float]] = {library: [] for library in workers}
    found: dict[str, Timing | str] = {}
    for turn in range(WARM_UP + REPEATS):
        for library, worker in workers.items():
            if library in found:
                continue
            # One step alone, after the turns of the others, would find all caches cold.
            together = 1 if turn < 2 else max(1, round(TURN / seconds[library][1]))
            try:
                seconds[library].append(float(worker.ask(f"steps {together}")))
            except RuntimeError as error:
                found[library] = str(error)
    for library, worker in workers.items():
        if library not in found:
            median = statistics.median(seconds[library][WARM_UP:])
            setup = max(seconds[library][0] - median, 0.0)
            found[library] = Timing(median, setup, float(worker.ask("peak")))
        worker.stop()
    return found
