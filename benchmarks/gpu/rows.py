"""The jobs that fill the table: fewstep compiled and timed, peers compared and timed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import Clock
from benchmarks.gpu.findings import Findings
from benchmarks.gradients import SAME, cosine, distance
from benchmarks.process import FEW_COMPILERS, Worker

LOOP = "fewstep, loop"
"""All gradients are compared with its."""


class References:
    """The float64 gradient of each workload by the loop, as files.

    Args:
        folder: Of the files.
        clock: Until when to wait for one.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self.clock = folder, clock
        self._known: dict[str, threading.Event] = {}

    def of(self, workload: str) -> threading.Event:
        """Set when that of a workload is known, or will not be."""
        return self._known.setdefault(workload, threading.Event())

    def path(self, *name: str) -> str:
        """A file for a gradient."""
        return str(self._folder / ("-".join(name).replace(" ", "-") + ".pt"))

    def deviation(self, workload: str, path: str) -> dict[str, float]:
        """The distance of a gradient from it, relative to its length, and their cosine."""
        self.of(workload).wait(self.clock.left())
        of_loop = Path(self.path(workload, LOOP))
        if not of_loop.exists():
            raise RuntimeError("there is no gradient to compare with")
        found, reference = torch.load(path), torch.load(of_loop)
        return {"deviation": distance(found, reference), "cosine": cosine(found, reference)}


class Row:
    """A job that is a worker.

    Args:
        workload: By name, with other numbers of steps and tasks perhaps.
        libraries: That the worker holds.
        findings: Where figures go.
        references: What gradients are compared with.
        nice: How much it stands back while others compute.
    """

    kind, limit = "", 30.0

    def __init__(
        self,
        workload: str,
        libraries: list[str],
        findings: Findings,
        references: References,
        nice: int = 0,
    ) -> None:
        self.spec, self.workload = workload, workload.split(":")[0]
        self.libraries, self.findings, self.references = libraries, findings, references
        self.name = f"{self.workload}, {self.kind or libraries[0]}"
        self.messages = ""
        self._nice, self._worker = nice, None

    @property
    def worker(self) -> Worker:
        """The process, started when it is first needed."""
        if self._worker is None:
            self._worker = Worker(
                *(self.spec, *self.libraries),
                device=self.findings.device,
                nice=self._nice,
                environment=FEW_COMPILERS,
            )
        return self._worker

    def prepare(self) -> None:
        """Start the worker."""
        assert self.worker

    def alone(self) -> None:
        """Nothing."""

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to the worker."""
        if self._worker is not None:
            self._worker.signal(what)

    def stop(self) -> None:
        """End the worker, and keep what it had to say."""
        if self._worker is not None:
            self.messages = self._worker.stop()

    def failed(self, why: str) -> None:
        """Keep it in the first library's row."""
        self.findings.row(self.workload, self.libraries[0], failed=why)

    def timed(self, library: str, seconds: float, most: int) -> float:
        """Median milliseconds, after a first few steps, of as many as fit some seconds."""
        one = min(self.worker.ask("steps", library, 1) for _ in range(2))
        number = min(most, max(3, round(seconds / one)))
        return 1000 * float(self.worker.ask("steps", library, number))


class Own(Row):
    """fewstep, compiled while others compute, and timed."""

    def prepare(self) -> None:
        """Compile, and record."""
        seconds = self.worker.ask("steps", self.libraries[0], 1)
        self.findings.row(self.workload, self.libraries[0], setup_seconds=seconds)

    def alone(self) -> None:
        """Time."""
        (library,), worker = self.libraries, self.worker
        row: dict[str, Any] = {"ms": self.timed(library, 1.0, 200)}
        row |= worker.ask("memory", library) | worker.ask("in_a_row", library, 10)
        self.findings.row(self.workload, library, **row)
        kernels = worker.ask("kernels", library)
        self.findings.kernels(self.name, kernels)
        self.findings.row(self.workload, library, kernels=kernels.split("\n")[0])
        worker.ask("gradient", library, "float32", self._path())
        self.findings.precision(self.workload, "float32", ms=row["ms"])

    def compare(self) -> None:
        """See how near float32 is, when all is over: what it is compared with may come late."""
        if Path(self._path()).exists() and self.references.of(self.workload).is_set():
            found = self.references.deviation(self.workload, self._path())
            self.findings.precision(self.workload, "float32", **found)

    def _path(self) -> str:
        return self.references.path(self.name, "32")


class Exact(Row):
    """fewstep, compiled in float64 and compared; nothing of it is timed."""

    kind = "float64"

    def prepare(self) -> None:
        """Compare."""
        (library,) = self.libraries
        path = self.worker.ask("gradient", library, "float64", self.references.path(self.name))
        # Others need its memory.
        self.stop()
        found = self.references.deviation(self.workload, path)
        self.findings.row(self.workload, library, deviation=found["deviation"])

    def failed(self, why: str) -> None:
        """Keep it beside the timing, unless the comparison was done before."""
        (library,) = self.libraries
        if "deviation" not in self.findings.rows(self.workload).get(library, {}):
            self.findings.row(self.workload, library, not_compared=why)


class LessExact(Row):
    """fewstep in another precision."""

    def prepare(self) -> None:
        """Compile, and compare."""
        (library,) = self.libraries
        path = self.references.path(self.name)
        found = self.references.deviation(
            self.workload, self.worker.ask("gradient", library, "float32", path)
        )
        self._keep(**found)

    def alone(self) -> None:
        """Time."""
        (library,) = self.libraries
        self._keep(ms=self.timed(library, 0.5, 100), **self.worker.ask("memory", library))

    def failed(self, why: str) -> None:
        """Keep it in its own table."""
        self._keep(failed=why)

    def _keep(self, **found: Any) -> None:
        self.findings.precision(self.workload, self.libraries[0].split(", ")[1], **found)


class Again(Row):
    """fewstep in a new process, when another has compiled the same before."""

    kind, limit = "second start", 60.0

    def prepare(self) -> None:
        """Nothing: the start is what is measured."""

    def alone(self) -> None:
        """Time the first outer step."""
        (library,) = self.libraries
        if "ms" not in self.findings.rows(self.workload).get(library, {}):
            raise RuntimeError("the first start has not ended")
        seconds = self.worker.ask("steps", library, 1)
        self.findings.row(self.workload, library, second_start_seconds=seconds)

    def failed(self, why: str) -> None:
        """Keep it beside the timing."""
        self.findings.row(self.workload, self.libraries[0], second_start=why)


class Peers(Row):
    """Libraries that compile nothing, compared while others compute and timed."""

    kind, limit = "peers", 60.0

    def prepare(self) -> None:
        """Compare; the loop comes first."""
        for library in self.libraries:
            try:
                self._each(library, self._compare)
            finally:
                self.references.of(self.workload).set()

    def alone(self) -> None:
        """Time those that are exact."""
        rows = self.findings.rows(self.workload)
        for library in self.libraries:
            if rows.get(library, {}).get("deviation", SAME) < SAME:
                self._each(library, self._time)
        self.findings.limit(self.workload, self.worker.ask("operations"))
        if not self.findings.told["best_rate"]:
            self.findings.told["best_rate"] = self.worker.ask("rate")

    def failed(self, why: str) -> None:
        """Keep it beside the table."""
        self.findings.part(self.name, failed=why)

    def _each(self, library: str, measure: Callable[[str], dict[str, Any]]) -> None:
        """One that fails stops no other, unless the worker has ended."""
        try:
            self.findings.row(self.workload, library, **measure(library))
        except RuntimeError as error:
            if self.worker.process.poll() is not None:
                raise
            self.findings.row(self.workload, library, failed=str(error))

    def _compare(self, library: str) -> dict[str, Any]:
        path = self.references.path(self.workload, library)
        self.worker.ask("gradient", library, "float64", path)
        if library == LOOP:
            self.references.of(self.workload).set()
        return {"deviation": self.references.deviation(self.workload, path)["deviation"]}

    def _time(self, library: str) -> dict[str, Any]:
        first = self.worker.ask("steps", library, 1)
        ms = self.timed(library, 1.0, 20)
        setup = max(0.0, first - ms / 1000)
        return {"ms": ms, "setup_seconds": setup, **self.worker.ask("memory", library)}
