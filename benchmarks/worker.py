"""Libraries on one workload, in a process of its own that does what it is told line by line.

``python -m benchmarks.worker DEVICE WORKLOAD LIBRARY ...``: each line is a list in JSON, and so is
the answer: a value, or ``{"failed": why}``.

- ``["gradient", LIBRARY, DTYPE, FILE]`` writes the gradient to a file;
- ``["steps", LIBRARY, N]`` does N outer gradients in float32 and answers the seconds of one, the
  first time with those of the preparation;
- ``["memory", LIBRARY]`` answers the MiB of them at their peak, with those of its own processes;
- ``["kernels", LIBRARY]`` answers which kernels take longest;
- ``["operations"]`` answers how many floating-point operations an outer gradient is;
- ``["rate"]`` answers how many of them a second a large product on the GPU is.

On a CPU several libraries would be in the way of one another: there each has its own process.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import time
import traceback
from dataclasses import replace

from benchmarks import MEMORY_KEPT
from fewstep import keep_memory

if sys.argv[3].startswith("fewstep") or sys.argv[3].endswith(MEMORY_KEPT):
    keep_memory()

import torch

from benchmarks import device as on
from benchmarks import limit
from benchmarks.libraries import LIBRARIES, OuterGradient
from benchmarks.workloads import WORKLOADS, Workload


def main(device: str, workload: str) -> None:
    """Answer one line with one line until there is no more."""
    # What a library prints itself is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    on.without_tf32()
    bench = _Bench(device, _workload(workload))
    for line in sys.stdin:
        what, *given = json.loads(line)
        try:
            answer = getattr(bench, what)(*given)
        except Exception as error:
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:300]}
        print(json.dumps(answer), file=answers, flush=True)


class _Bench:
    """One workload, and the library that is prepared for it."""

    def __init__(self, device: str, workload: Workload) -> None:
        self._device, self._workload = device, workload
        self._prepared: tuple[str, OuterGradient] | None = None
        self._imports = on.resident()

    def gradient(self, library: str, dtype: str, path: str) -> str:
        if dtype == "float32":
            found = self._step(library)()
        else:
            self._prepared = None
            found = self._prepare(library, getattr(torch, dtype))()
        torch.save({name: value.detach().cpu() for name, value in found.items()}, path)
        return path

    def steps(self, library: str, number: int) -> float:
        began, times = time.perf_counter(), []
        step = self._step(library)
        for _ in range(number):
            step()
            on.wait(self._device)
            times.append(time.perf_counter() - began)
            began = time.perf_counter()
        return statistics.fmean(times) if self._device == "cpu" else statistics.median(times)

    def memory(self, library: str) -> dict[str, float]:
        self._step(library)
        return on.memory(self._device, self._imports)

    def kernels(self, library: str) -> str:
        return on.kernels(self._step(library)) if self._device == "cuda" else "no GPU"

    def operations(self) -> int:
        return limit.operations(self._workload, self._device)

    def rate(self) -> float:
        return limit.rate_on_gpu() if self._device == "cuda" else 1e11

    def _step(self, library: str) -> OuterGradient:
        if self._prepared is None or self._prepared[0] != library:
            self._prepared = None
            self._prepared = library, self._prepare(library, torch.float32)
        return self._prepared[1]

    def _prepare(self, library: str, dtype: torch.dtype) -> OuterGradient:
        on.forget_memory(self._device)
        model = self._workload.build(dtype).to(self._device)
        tasks = self._workload.batch(dtype).to(self._device)
        return LIBRARIES[library](self._workload, model, tasks)


def _workload(name: str) -> Workload:
    """``W2`` as it is, ``W2:20`` with 20 inner steps, ``W2:5:2`` with two tasks as well."""
    name, *numbers = name.split(":")
    fields = dict(zip(("steps", "tasks"), map(int, numbers), strict=False))
    return replace(WORKLOADS[name], **fields)


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format=f"{sys.argv[2]} {sys.argv[3]}: %(message)s")
    main(sys.argv[1], sys.argv[2])
