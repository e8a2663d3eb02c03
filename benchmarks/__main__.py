"""Time every library on every workload, interleaved, after a comparison of their gradients.

``python -m benchmarks`` writes ``benchmarks/results/MACHINE.json`` and ``.md``; with the names of
some workloads (``W1 W2``) it measures those again and keeps the others.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.libraries import OWN, libraries_for
from benchmarks.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results"
REFERENCE = "fewstep, loop"
WARM_UP, REPEATS = 2, 10
TURN = 0.3
"""Seconds that a library spends on steps, one after another, at each of its turns."""
SAME = 1e-8
"""Gradients that differ by more, relative and in float64, are not the same gradient."""


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


def main(names: list[str]) -> None:
    """Measure the workloads of these names, all of them where none is given, and keep the rest."""
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"{platform.machine()}-{torch.get_num_threads()}-threads"
    kept = json.loads(stem.with_suffix(".json").read_text())["workloads"] if names else {}
    for name in names or WORKLOADS:
        kept[name] = measure(name)
        print(f"\n{name}: {WORKLOADS[name].text}\n\n{table(kept[name])}", flush=True)
    told = {"machine": machine(), "versions": versions(), "workloads": kept}
    stem.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")
    stem.with_suffix(".md").write_text(page(told))


def measure(workload: str) -> dict[str, dict[str, Any]]:
    """One row a library: milliseconds of an outer gradient, tasks a second, MiB; or why not."""
    rows: dict[str, dict[str, Any]] = {}
    limit = limits(workload)
    reference = gradient(workload, REFERENCE)
    workers = {}
    for library in libraries_for(WORKLOADS[workload]):
        try:
            deviation = distance(gradient(workload, library), reference)
        except RuntimeError as error:
            rows[library] = {"failed": str(error)}
            continue
        rows[library] = {"deviation": deviation}
        if deviation < SAME:
            workers[library] = Worker(workload, library)
    seconds = {library: [float(worker.ask("steps 1"))] for library, worker in workers.items()}
    for turn in range(1, WARM_UP + REPEATS):
        for library, worker in workers.items():
            # One step alone, after the turns of the others, would find all caches cold.
            together = 1 if turn == 1 else max(1, round(TURN / seconds[library][1]))
            seconds[library].append(float(worker.ask(f"steps {together}")))
    for library, worker in workers.items():
        median = statistics.median(seconds[library][WARM_UP:])
        rows[library] |= {
            "ms": 1000 * median,
            "tasks_per_second": WORKLOADS[workload].tasks / median,
            "setup_seconds": max(seconds[library][0] - median, 0.0),
            "share_of_limit": limit["flops"] / limit["best_rate"] / median,
            "peak_mib": float(worker.ask("peak")),
        }
        worker.stop()
    return rows


def limits(workload: str) -> dict[str, float]:
    """Operations of an outer gradient, and the most a second that one of them alone reaches."""
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.limit", workload],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    told: dict[str, float] = json.loads(printed)
    return told


def gradient(workload: str, library: str) -> dict[str, Tensor]:
    """The float64 gradient, from a process that ends before anything is timed."""
    worker = Worker(workload, library)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gradient.pt")
        try:
            worker.ask(f"gradient {path}")
            loaded: dict[str, Tensor] = torch.load(path)
        finally:
            worker.stop()
    return loaded


def distance(found: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """Relative to the length of the reference; a gradient that is missing counts as zero."""
    off = sum(float((found.get(n, 0 * g) - g).square().sum()) for n, g in reference.items())
    return float((off / sum(float(g.square().sum()) for g in reference.values())) ** 0.5)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown; the ratio is to the fastest way of fewstep."""
    own = min(rows[name]["ms"] for name in OWN if "ms" in rows.get(name, {}))
    lines = [
        "| library | ms an outer step | tasks/s | time beside fewstep's best | peak MiB "
        "| set-up s | share of the limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "failed" in row:
            cells = [f"failed: {row['failed']}", *5 * [""]]
        elif "ms" not in row:
            cells = [f"not timed: its gradient differs by {row['deviation']:.1e}", *5 * [""]]
        else:
            cells = [
                f"{row['ms']:.1f}",
                f"{row['tasks_per_second']:.0f}",
                f"{row['ms'] / own:.2f}",
                f"{row['peak_mib']:.0f}",
                f"{row['setup_seconds']:.1f}",
                f"{row['share_of_limit']:.0%}",
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(told: dict[str, Any]) -> str:
    """All tables with the machine and the versions."""
    head = f"{told['machine']}; " + ", ".join(f"{n} {v}" for n, v in told["versions"].items())
    text = (
        f"# Speed\n\nExact meta-gradients in float32, median of {REPEATS} interleaved outer steps, "
        f"one process a library.\n{head}.\nBy `make bench`; columns and rows are explained in "
        "[docs/speed.md](../../docs/speed.md). On a GPU: not measured.\n"
    )
    for name, rows in told["workloads"].items():
        text += f"\n## {name}: {WORKLOADS[name].text}\n\n{table(rows)}\n"
    return text


def machine() -> str:
    """Processor and threads."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{model}, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"python": platform.python_version()}
    for name in ("torch", "fewstep", "higher", "torchopt", "iteryne", "parallel-metalearn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
