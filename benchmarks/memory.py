"""Peak memory of W2 with 1 and with 20 inner steps.

``python -m benchmarks.memory`` prints a table in Markdown; with names of libraries, of those alone.
"""

from __future__ import annotations

import sys

from benchmarks.__main__ import Worker
from benchmarks.libraries import PEERS

STEPS = (1, 20)


def main(names: list[str]) -> None:
    """Two outer gradients of each library, in a process of its own."""
    print("| library | peak MiB, 1 inner step | 20 inner steps |\n|---|---|---|")
    for library in names or ("fewstep, flat", "fewstep, loop", *PEERS):
        peaks = [f"{_peak(library, steps):.0f}" for steps in STEPS]
        print(f"| {library} | {' | '.join(peaks)} |", flush=True)


def _peak(library: str, steps: int) -> float:
    worker = Worker(f"W2:{steps}", library)
    worker.ask("steps 2")
    peak = float(worker.ask("peak"))
    worker.stop()
    return peak


if __name__ == "__main__":
    main(sys.argv[1:])
