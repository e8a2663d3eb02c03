"""A library in a process of its own, as `benchmarks.worker`, and several taking turns."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

WARM_UP, REPEATS = 6, 10
"""Turns that do not count, while the memory of a process still grows, and turns that do."""
TURN = 0.3
"""Seconds that a library spends on steps, one after another, at each of its turns."""


class Worker:
    """A process that holds one workload, and libraries.

    Args:
        workload: By name.
        libraries: On a CPU one of them: they would be in the way of one another.
        device: Where it computes.
        nice: How much it stands back for others that compute.
        environment: Variables beside those of this process.
    """

    def __init__(
        self,
        workload: str,
        *libraries: str,
        device: str = "cpu",
        nice: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = ["nice", "-n", str(nice), sys.executable, "-W", "ignore"]
        self.messages = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            [*command, "-m", "benchmarks.worker", device, workload, *libraries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages,
            text=True,
            env={**os.environ, **(environment or {})},
            process_group=0,
        )

    def ask(self, *what: str | int) -> Any:
        """Send one line, wait for the answer.

        Raises:
            RuntimeError: The process failed, or ended; holds what it complained of.
        """
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"failed": self._last_words()}
        if isinstance(answer, dict) and "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to the process and to those that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, what)

    def stop(self) -> str:
        """End the process, and return what it had to say."""
        self.signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            # One that another thread reads from stays open.
            with suppress(BrokenPipeError, RuntimeError):
                assert pipe
                pipe.close()
        self.messages.seek(0)
        return self.messages.read()

    def _last_words(self) -> str:
        self.process.wait()
        self.messages.seek(0)
        lines = self.messages.read().strip().splitlines()
        return lines[-1] if lines else "ended without a word"


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
                seconds[library].append(worker.ask("steps", library, together))
            except RuntimeError as error:
                found[library] = str(error)
    for library, worker in workers.items():
        if library not in found:
            median = statistics.median(seconds[library][WARM_UP:])
            setup = max(seconds[library][0] - median, 0.0)
            found[library] = Timing(median, setup, worker.ask("memory", library)["peak_mib"])
        worker.stop()
    return found
