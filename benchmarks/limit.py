"""How much arithmetic a workload is, and the best rate at which the machine does any of it.

``python -m benchmarks.limit WORKLOAD`` prints both as JSON: the floating-point operations of an
outer gradient that keeps what it computes, and the highest rate, in operations a second, that one
of its convolutions or matrix products, of one task or of many at once, reaches alone. None of them
keeps a GPU busy: there it is the rate of a large product of matrices.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from fewstep import keep_memory

if __name__ == "__main__":
    keep_memory()

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from benchmarks.device import wait
from benchmarks.workloads import WORKLOADS, Workload
from fewstep import MAML

ROUNDS, REPEATS, PAUSE = 5, 20, 1.0
"""The speed of a shared machine changes from second to second; its limit is the best of it."""


SIDE = 8192
"""Rows and columns of the matrices that a GPU multiplies."""


def main(workload: Workload) -> None:
    """Print the operations and the rate."""
    model = workload.build(torch.float32)
    tasks = workload.batch(torch.float32)
    learner = MAML(model, workload.lr, workload.steps, loss=workload.loss, execution="loop")
    at_once = MAML(model, workload.lr, workload.steps, loss=workload.loss)
    at_once.meta_gradient(tasks)
    flops = operations(workload)
    with _Calls() as calls:
        learner.meta_gradient(tasks[:1])
        at_once.meta_gradient(tasks)
    best = 0.0
    for _ in range(ROUNDS):
        best = max(best, *(_rate(function, given) for function, given in calls.found.values()))
        time.sleep(PAUSE)
    print(json.dumps({"flops": flops, "best_rate": best}))


def operations(workload: Workload, device: str = "cpu") -> int:
    """Floating-point operations of an outer gradient that keeps what it computes."""
    model, tasks = workload.build(torch.float32).to(device), workload.batch(torch.float32)
    learner = MAML(model, workload.lr, workload.steps, loss=workload.loss, execution="loop")
    # A first time, since looks at the model count too.
    learner.meta_gradient(tasks.to(device))
    with FlopCounterMode(display=False) as counter:
        learner.meta_gradient(tasks.to(device))
    return counter.get_total_flops()


def rate_on_gpu() -> float:
    """Operations a second of a large product of float32 matrices."""
    one, other = (torch.randn(SIDE, SIDE, device="cuda") for _ in range(2))
    return max(_rate(torch.mm, (one, other), "cuda") for _ in range(ROUNDS))


class _Calls(TorchDispatchMode):
    """One call of each kind and shape that counts as arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, tuple[Any, tuple[Any, ...]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry and not kwargs:
            self.found.setdefault(str((func, *map(_shape, args))), (func, args))
        return result


def _shape(value: object) -> object:
    return tuple(value.shape) if isinstance(value, Tensor) else value


def _rate(
    function: Callable[..., object], arguments: tuple[Any, ...], device: str = "cpu"
) -> float:
    """Operations a second of one call, the fastest of several."""
    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    wait(device)
    fastest = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        function(*arguments)
        wait(device)
        fastest = min(fastest, time.perf_counter() - began)
    return counter.get_total_flops() / fastest


if __name__ == "__main__":
    main(WORKLOADS[sys.argv[1]])
