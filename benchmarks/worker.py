"""One library on one workload, in a process of its own that does what it is told line by line.

``python -m benchmarks.worker WORKLOAD LIBRARY``; ``gradient FILE`` writes the float64 gradient,
``step`` does one outer gradient in float32 and prints its seconds, ``peak`` prints the most memory
ever held beyond what the imports took, in MiB.
"""

from __future__ import annotations

import resource
import sys
import time

from fewstep.cli.allocator import keep_memory

keep_memory()

import torch  # noqa: E402 - after the allocator is set

from benchmarks.libraries import LIBRARIES  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402


def main(workload_name: str, library: str) -> None:
    """Answer one line with one line until there is no more."""
    workload, prepare = WORKLOADS[workload_name], LIBRARIES[library]
    before = _peak()
    step = prepare(workload, workload.build(torch.float32), workload.batch(torch.float32))
    for line in sys.stdin:
        match line.split(maxsplit=1):
            case ["gradient", path]:
                model = workload.build(torch.float64)
                exact = prepare(workload, model, workload.batch(torch.float64))()
                torch.save(exact, path.strip())
                print("ok", flush=True)
            case ["step"]:
                began = time.perf_counter()
                step()
                print(time.perf_counter() - began, flush=True)
            case ["peak"]:
                print(_peak() - before, flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
