"""Peak memory of W2 with 1 and with 20 inner steps.

``python -m benchmarks.memory`` prints a table in Markdown; with names of libraries, of those alone.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.libraries import PEERS
from benchmarks.process import Worker

STEPS = (1, 20)
PROCESSES = 3
"""Each finds the peak anew: where its memory is free when it asks for more is partly chance."""


def main(names: list[str]) -> None:
    """The median over processes of two outer gradients of each library."""
    print("| library | peak MiB, 1 inner step | 20 inner steps |\n|---|---|---|")
    for library in names or ("fewstep, flat", "fewstep, loop", *PEERS):
        peaks = [f"{_median(library, steps):.0f}" for steps in STEPS]
        print(f"| {library} | {' | '.join(peaks)} |", flush=True)


def _median(library: str, steps: int) -> float:
    return statistics.median(_peak(library, steps) for _ in range(PROCESSES))


def _peak(library: str, steps: int) -> float:
    worker = Worker(f"W2:{steps}", library)
    worker.ask("steps", library, 2)
    peak: float = worker.ask("memory", library)["peak_mib"]
    worker.stop()
    return peak


if __name__ == "__main__":
    main(sys.argv[1:])
