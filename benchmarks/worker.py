"""One library on one workload, in a process of its own that does what it is told line by line.

``python -m benchmarks.worker WORKLOAD LIBRARY``; ``gradient FILE`` writes the float64 gradient,
``steps N`` does N outer gradients in float32 and prints the seconds of one, the first time with
those of the preparation; ``peak`` prints the most memory ever held beyond what the imports took, in
MiB, with that of its own processes.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import MEMORY_KEPT
from fewstep import keep_memory

if sys.argv[2].startswith("fewstep") or sys.argv[2].endswith(MEMORY_KEPT):
    keep_memory()

import torch

from benchmarks.libraries import LIBRARIES
from benchmarks.workloads import WORKLOADS, Workload


def main(workload_name: str, library: str) -> None:
    """Answer one line with one line until there is no more."""
    workload, prepare = _workload(workload_name), LIBRARIES[library]
    imports = _peak("self")
    step = None
    for line in sys.stdin:
        match line.split(maxsplit=1):
            case ["gradient", path]:
                model = workload.build(torch.float64)
                exact = prepare(workload, model, workload.batch(torch.float64))()
                torch.save(exact, path.strip())
                print("ok", flush=True)
            case ["steps", number]:
                began = time.perf_counter()
                if step is None:
                    model = workload.build(torch.float32)
                    step = prepare(workload, model, workload.batch(torch.float32))
                for _ in range(int(number)):
                    step()
                print((time.perf_counter() - began) / int(number), flush=True)
            case ["peak"]:
                processes = ["self", *map(str, _children())]
                print(sum(_peak(process) - imports for process in processes), flush=True)


def _workload(name: str) -> Workload:
    """``W2`` as it is, ``W2:20`` with 20 inner steps."""
    name, _, steps = name.partition(":")
    workload = WORKLOADS[name]
    return replace(workload, steps=int(steps)) if steps else workload


def _children() -> list[int]:
    return [process.pid for process in multiprocessing.active_children() if process.pid]


def _peak(process: str) -> float:
    """The most memory a process ever held, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
