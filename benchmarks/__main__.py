"""Time every library on every workload, interleaved, after a comparison of their gradients.

``python -m benchmarks`` writes ``benchmarks/results/MACHINE.json`` and ``.md``; with the names of
some workloads (``W1 W2``) it measures those again and keeps the others. With ``--device cuda`` it
is the table of a GPU that is written, ``CARD.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import MEMORY_KEPT
from benchmarks.gpu import __main__ as gpu
from benchmarks.gradients import SAME, Gradient, distance
from benchmarks.libraries import OWN, libraries_for
from benchmarks.process import Timing, Worker, take_turns
from benchmarks.report import Rows, machine, page, table, versions
from benchmarks.workloads import WORKLOADS, Workload

RESULTS = Path(__file__).parent / "results"
SECONDS = 3600.0
"""For the table of a GPU; it takes minutes."""
REFERENCE = "fewstep, loop"


def main(names: list[str]) -> None:
    """Measure the workloads of these names, all of them where none is given, and keep the rest."""
    stem = RESULTS / f"{platform.machine()}-{torch.get_num_threads()}-threads"
    kept = json.loads(stem.with_suffix(".json").read_text())["workloads"] if names else {}
    for name in names or WORKLOADS:
        kept[name] = measure(WORKLOADS[name])
        print(f"\n{name}: {WORKLOADS[name].text}\n\n{table(kept[name])}", flush=True)
        told = {"machine": machine(), "versions": versions(), "workloads": kept}
        stem.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")
        stem.with_suffix(".md").write_text(page(told))


def on_gpu(names: list[str]) -> None:
    """The same on a GPU, with the precisions."""
    with tempfile.TemporaryDirectory() as folder:
        findings = gpu.main(Path(folder), SECONDS, [*(names or WORKLOADS), "precision"])
    path, told = RESULTS / findings.path.name, findings.told
    kept = json.loads(path.read_text()) if names else {}
    for part in ("operations", "workloads", "precision"):
        told[part] = kept.get(part, {}) | told[part]
    path.write_text(json.dumps(told, indent=2) + "\n")
    path.with_suffix(".md").write_text(gpu.page(told))


def measure(workload: Workload) -> Rows:
    """One row a library: milliseconds of an outer gradient, tasks a second, MiB; or why not."""
    rows = compared(workload)
    same = [name for name, row in rows.items() if row.get("deviation", SAME) < SAME]
    kept = [name for name in same if name.endswith(MEMORY_KEPT)]
    plain = [name for name in same if name not in kept]
    first = take_turns(workload.name, plain)
    best = fastest(first)
    # All libraries at once would take more than 24 GiB for W3.
    second = take_turns(workload.name, [best, *kept])
    limit = limits(workload.name)
    for names, found in ((plain, first), (kept, second)):
        for name in names:
            rows[name] |= row(found[name], found[best], workload.tasks, limit)
    return rows


def compared(workload: Workload) -> Rows:
    """How far the gradient of each library is from fewstep's, or why it has none."""
    rows: Rows = {}
    reference = gradient(workload.name, REFERENCE)
    for library in libraries_for(workload):
        try:
            rows[library] = {"deviation": distance(gradient(workload.name, library), reference)}
        except RuntimeError as error:
            rows[library] = {"failed": str(error)}
    return rows


def fastest(found: dict[str, Timing | str]) -> str:
    """Which of fewstep's own ways it is."""
    own = {name: found[name] for name in OWN if name in found}
    timings = {name: timing for name, timing in own.items() if isinstance(timing, Timing)}
    return min(timings, key=lambda name: timings[name].seconds)


def row(
    timing: Timing | str, beside: Timing | str, tasks: int, limit: dict[str, float]
) -> dict[str, Any]:
    """The figures of a library in the table, and of fewstep's best in the same turns."""
    if isinstance(timing, str):
        return {"failed": timing}
    if isinstance(beside, str):
        return {"failed": f"fewstep beside it: {beside}"}
    return {
        "ms": 1000 * timing.seconds,
        "beside_best": timing.seconds / beside.seconds,
        "tasks_per_second": tasks / timing.seconds,
        "setup_seconds": timing.setup,
        "share_of_limit": limit["flops"] / limit["best_rate"] / timing.seconds,
        "peak_mib": timing.peak_mib,
    }


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


def gradient(workload: str, library: str) -> Gradient:
    """The float64 gradient, from a process that ends before anything is timed."""
    worker = Worker(workload, library)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gradient.pt")
        try:
            loaded: Gradient = torch.load(worker.ask("gradient", library, "float64", str(path)))
        finally:
            worker.stop()
    return loaded


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*WORKLOADS, []])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = parser.parse_args()
    (on_gpu if given.device == "cuda" else main)(given.names)
