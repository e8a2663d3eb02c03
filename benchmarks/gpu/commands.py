"""Jobs that are programs of their own: checks, tests, measurements of one thing each."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.gpu.findings import Findings

LAST = 60
"""Lines that are kept in the findings; all of them are in a file."""
Read = Callable[[list[str]], dict[str, Any]]


class Command:
    """A program, run alone or while others compute.

    Args:
        name: Of what it measures.
        command: What follows ``python``.
        findings: Where its last lines go, with what JSON it printed.
        output: A file for all that it prints.
        alone: Whether it is timed.
        limit: The most seconds that it may have alone.
        nice: How much it stands back while others compute.
        read: What is known from its lines.
    """

    messages = ""

    def __init__(
        self,
        name: str,
        command: list[str],
        findings: Findings,
        output: Path,
        *,
        alone: bool = False,
        limit: float = 60.0,
        nice: int = 0,
        read: Read | None = None,
    ) -> None:
        self.name, self.limit = name, limit
        self._command = ["nice", "-n", str(nice), sys.executable, *command]
        self._findings, self._output, self._alone = findings, output, alone
        self._read = read or told_in_json
        self._process: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Run, unless it is to be timed."""
        if not self._alone:
            self._run()

    def alone(self) -> None:
        """Run, if it is to be timed."""
        if self._alone:
            self._run()

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

    def _run(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            process_group=0,
        )
        assert self._process.stdout is not None
        lines: list[str] = []
        with self._output.open("a") as file:
            file.write(f"== {self.name}\n")
            for line in self._process.stdout:
                file.write(line)
                file.flush()
                lines.append(line.rstrip())
                if line.startswith("{") or len(lines) % 20 == 0:
                    self._findings.part(self.name, **self._read(lines))
        self._findings.part(self.name, **self._read(lines), status=self._process.wait())


def told_in_json(lines: list[str]) -> dict[str, Any]:
    """All that lines of JSON say, and the last of the others."""
    told: dict[str, Any] = {}
    others = []
    for line in lines:
        found = _parsed(line)
        if isinstance(found, dict):
            told |= found
        else:
            others.append(line)
    return told | {"lines": others[-LAST:]}


def test_results(lines: list[str]) -> dict[str, Any]:
    """How many tests passed, and which did not, from the lines of ``pytest -v``."""
    passed, other = 0, []
    for line in lines:
        found = re.search(r"\b(PASSED|FAILED|ERROR|SKIPPED)\b.*?(tests/\S.*)|^E  +(.*)", line)
        if found and found[1] == "PASSED":
            passed += 1
        elif found:
            other.append(line[:200])
    return {"passed": passed, "others": other[:LAST], "last": lines[-1] if lines else ""}


def _parsed(line: str) -> object:
    try:
        return json.loads(line) if line.startswith("{") else None
    except ValueError:
        return None
