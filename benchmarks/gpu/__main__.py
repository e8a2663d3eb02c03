"""Correctness and speed on a GPU, in one call of a few minutes, without a network.

``python -m benchmarks.gpu OUT [SECONDS] [PART ...]``: parts are ``W1`` to ``W5``, the table;
``LSTM`` and ``GRU``; ``precision``; ``again``, a second start; ``tests``, those that need a GPU;
the names in `PROGRAMS`; ``accuracy``, rows of the table of results, best in a call of its own, and
``accuracy:FOLDER``, which goes on with what an earlier call packed (`benchmarks.gpu.accuracy`); and
files of Python that are run while others compute. All that may is done
side by side first, then each is timed alone, the most important ones first. Each figure is written
as it comes: ``OUT/CARD.json``, at the end ``CARD.md``, the kernels that take longest in
``kernels.txt``, all that was said in ``log.txt``, ``tests.txt`` and ``programs.txt``. Without a GPU
the same is done, smaller, to try the script.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.clock import Clock
from benchmarks.gpu import accuracy
from benchmarks.gpu.commands import Command, Program, results_of_tests
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.report import page, summary
from benchmarks.gpu.rows import LOOP, Again, Exact, LessExact, Own, Peers, References, Row
from benchmarks.gpu.schedule import Job, run
from benchmarks.libraries import LESS_EXACT, peers_for
from benchmarks.workloads import RECURRENT, WORKLOADS

OWN = "fewstep"
"""The library as it chooses to compute."""
ORDER = "W3", "W2", "W1", "W5", "W4", *RECURRENT
"""Those that take longest to compile come first."""
ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "end-to-end": Program(
        "-m benchmarks.end_to_end --steps 3 --first 1 --times 1 --val-every 2 --val-tasks 32"
        " --execution captured",
        "-m benchmarks.end_to_end",
    ),
    "end-to-end fast": Program(
        "-m benchmarks.end_to_end --budget fast --steps 3 --first 1 --times 1 --val-every 2"
        " --val-tasks 32 --execution captured",
        "-m benchmarks.end_to_end --budget fast",
    ),
    "attention": Program(
        "-m benchmarks.attention exact captured",
        "-m benchmarks.attention times crossing captured",
    ),
}
"""Programs that are timed beside the table, each alone."""
SMALLER = {
    "end-to-end": Program(
        alone="-m benchmarks.end_to_end --steps 3 --first 1 --times 1 --val-every 2 --val-tasks 4"
        " --meta-batch 2"
    ),
    "end-to-end fast": Program(
        alone="-m benchmarks.end_to_end --budget fast --steps 3 --first 1 --times 1 --val-every 2"
        " --val-tasks 4 --meta-batch 1"
    ),
    "attention": Program("-m benchmarks.attention exact", "-m benchmarks.attention times"),
}
"""The same without a GPU."""
AT_ONCE = 8
"""Jobs that prepare side by side, on sixteen cores: a compiler keeps two busy."""


def jobs(names: list[str], findings: Findings, references: References, out: Path) -> Iterator[Job]:
    """The jobs, by importance.

    Args:
        names: Of the parts.
        findings: Where figures go.
        references: What gradients are compared with.
        out: A folder for what programs print.
    """
    on_gpu, output = findings.device == "cuda", out / "programs.txt"

    def row(kind: type[Row], name: str, *libraries: str, nice: int = 0) -> Row:
        spec = name if on_gpu or name == "W4" else f"{name}:1:2"
        return kind(spec, list(libraries), findings, references, nice)

    workloads = [name for name in ORDER if name in names]
    yield from (row(Own, name, OWN) for name in workloads)
    for name in workloads:
        others = (LOOP, "fewstep, vectorised", *peers_for((WORKLOADS | RECURRENT)[name]))
        yield row(Peers, name, *others, nice=2)
    if "tests" in names:
        yield _tests(findings, out / "tests.txt")
    for name, program in (PROGRAMS if on_gpu else SMALLER).items():
        if name in names:
            yield Command(name, program, findings, output)
    if "again" in names:
        yield from (row(Again, name, OWN) for name in ("W1", "W3") if name in workloads)
    yield from (row(Exact, name, OWN, nice=4) for name in workloads)
    if "precision" in names:
        for name in (name for name in workloads if name in WORKLOADS):
            yield from (row(LessExact, name, library, nice=6) for library in LESS_EXACT)
    for name in names:
        part, _, folder = name.partition(":")
        if part == "accuracy":
            yield Command(part, _accuracy(folder, on_gpu, references.clock, out), findings, output)
        if name.endswith(".py"):
            yield Command(Path(name).stem, Program(name), findings, output, nice=6)


def _accuracy(folder: str, on_gpu: bool, clock: Clock, out: Path) -> Program:
    """Trains what is not done in ``folder`` until all time is over."""
    began = time.time() - clock.passed()
    given = [str(out), f"{clock.seconds:.0f}", "--began", f"{began:.0f}"]
    given += ["--go-on", folder] if folder else []
    given += [] if on_gpu else ["--device", "cpu", "--", *accuracy.SMALL]
    return Program(alone=shlex.join(["-m", "benchmarks.gpu.accuracy", *given]), limit=clock.seconds)


def _tests(findings: Findings, output: Path) -> Command:
    """The tests that need a GPU, none of which a warning of this version of PyTorch may fail."""
    workers = "4" if findings.device == "cuda" else "1"
    plugins = ["-p", "no:cacheprovider", "-p", "no:benchmark", "-n", workers, "-v"]
    every = sorted(ROOT.glob("tests/*/test_*.py"))
    files = [str(path) for path in every if "mark.cuda" in path.read_text()]
    command = ["-m", "pytest", "-m", "cuda", "-W", "default", "--tb=short", *plugins, *files]
    return Command(
        "tests", Program(shlex.join(command)), findings, output, nice=8, read=results_of_tests
    )


def main(out: Path, seconds: float, names: list[str]) -> Findings:
    """Measure, write what was found, and return it."""
    clock = Clock(seconds)
    findings = Findings(out, "cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        references = References(Path(folder), clock)
        every = list(jobs(names, findings, references, out))
        try:
            run(every, clock, AT_ONCE)
            for job in every:
                if isinstance(job, Own):
                    job.compare()
        finally:
            (out / "log.txt").write_text("\n".join(f"== {j.name}\n{j.messages}" for j in every))
            findings.path.with_suffix(".md").write_text(page(findings.told))
            print(summary(findings.told), flush=True)
    return findings


if __name__ == "__main__":
    given = sys.argv[3:] or [*ORDER, "tests", *PROGRAMS, "precision", "again"]
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 550.0, given)
    # A thread may still wait for something that a killed process had started.
    os._exit(0)
