"""Jobs that are programs of their own: checks, tests, measurements of one thing each."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.findings import Findings
from benchmarks.process import FEW_COMPILERS

LAST = 60
"""Lines that are kept in the findings; all of them are in a file."""
Read = Callable[[list[str]], dict[str, Any]]


@dataclass(frozen=True)
class Program:
    """A program that a command runs.

    Attributes:
        beside: What follows ``python`` while others compute: all of it, or what fills a cache of
            compiled code.
        alone: What follows ``python`` when it is timed.
        limit: The most seconds that it may have alone.
    """

    beside: str = ""
    alone: str = ""
    limit: float = 60.0


class Command:
    """A program, run while others compute, alone, or first the one and then the other.

    Args:
        name: Of what it measures.
        program: What to run.
        findings: Where its last lines go, with what JSON it printed.
        output: A file for all that it prints.
        nice: How much it stands back while others compute.
        read: What is known from its lines.
    """

    messages = ""

    def __init__(
        self,
        name: str,
        program: Program,
        findings: Findings,
        output: Path,
        nice: int = 3,
        read: Read | None = None,
    ) -> None:
        self.name, self.limit = name, program.limit
        self._program, self._nice = program, ["nice", "-n", str(nice)]
        self._findings, self._output = findings, output
        self._read = read or told_in_json
        self._process: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Run what may be done beside others; a failure is for the later run to tell, if any."""
        if self._program.beside:
            self._run(self._program.beside, beside=True)

    def alone(self) -> None:
        """Run what is timed."""
        if self._program.alone:
            self._run(self._program.alone, beside=False)

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, what)

    def stop(self) -> None:
        """End its processes."""
        self.signal(signal.SIGKILL)

    def failed(self, why: str) -> None:
        """Keep it beside what it printed."""
        self._findings.part(self.name, failed=why)

    def _run(self, arguments: str, beside: bool) -> None:
        self._process = subprocess.Popen(
            [*(self._nice if beside else []), sys.executable, *shlex.split(arguments)],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **FEW_COMPILERS, "PYTHONUNBUFFERED": "1"},
            process_group=0,
        )
        assert self._process.stdout is not None
        lines: list[str] = []
        with self._process, self._output.open("a") as file:
            file.write(f"== {self.name}: {arguments}\n")
            for line in self._process.stdout:
                file.write(line)
                file.flush()
                lines.append(line.rstrip())
                if len(lines) % 20 == 1:
                    self._findings.part(self.name, **self._read(lines))
        self._findings.part(self.name, **self._read(lines), status=self._process.wait())


def told_in_json(lines: list[str]) -> dict[str, Any]:
    """The object in JSON that the lines end with, if any; and the last of the others."""
    for number, line in enumerate(lines):
        if line.startswith("{"):
            with suppress(ValueError):
                return {
                    "told": json.loads("".join(lines[number:])),
                    "lines": lines[:number][-LAST:],
                }
    return {"lines": lines[-LAST:]}


def results_of_tests(lines: list[str]) -> dict[str, Any]:
    """How many tests passed, and which did not, from the lines of ``pytest -v``."""
    passed, other = 0, []
    for line in lines:
        found = re.search(r"\b(PASSED|FAILED|ERROR|SKIPPED)\b.*?(tests/\S.*)|^E  +(.*)", line)
        if found and found[1] == "PASSED":
            passed += 1
        elif found:
            other.append(line[:200])
    return {"passed": passed, "others": other[:LAST], "last": lines[-1] if lines else ""}
