"""Attention by blocks beside the math form: exactness, memory and time of a meta-gradient.

``python -m benchmarks.attention [exact] [times] [crossing] [captured]`` prints one JSON object:
deviations in float64; MiB at the peak beyond the tasks and milliseconds of blocks and of the math
form, for tasks x examples x sequence x width x heads; and the same by sequence length, where blocks
begin to pay. A CPU's memory is that of a process of its own.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import sys
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks import device as on
from benchmarks.gradients import distance
from fewstep import MAML, TaskBatch
from fewstep.ops import attention

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WAYS, STEPS, LR = 5, 3, 0.5
BLOCKS, MATH = attention.LONG, 10**12
"""The size from which attention is by blocks, as it is, and never."""
SETTINGS: dict[str, dict[str, Any]] = {
    "loop": {"execution": "loop"},
    "flat": {"execution": "loop", "memory": "flat"},
    "vectorised": {"execution": "vectorised"},
    "vectorised, flat": {"execution": "vectorised", "memory": "flat"},
}


class Size(NamedTuple):
    """Numbers of tasks, examples, their sequence, its width, and heads."""

    tasks: int
    examples: int
    length: int
    width: int
    heads: int


SIZES = (Size(4, 5, 1024, 512, 8), Size(1, 5, 1024, 512, 8))
SMALL = (Size(1, 2, 512, 64, 8),)
LENGTHS = 128, 192, 256, 384, 512


class Attending(nn.Module):
    """One layer of attention, averaged, and a linear layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.body = nn.MultiheadAttention(width, heads, batch_first=True)
        self.head = nn.Linear(width, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """``[examples, length, width]`` to ``[examples, ways]``."""
        result: Tensor = self.head(self.body(x, x, x, need_weights=False)[0].mean(1))
        return result


def main(parts: list[str]) -> None:
    """Measure some parts, all but the recorded one unless given."""
    told: dict[str, Any] = {}
    for part in parts or ("exact", "times", "crossing"):
        told[part] = {"exact": exact, "times": times, "crossing": crossing, "captured": captured}[
            part
        ]()
    print(json.dumps(told, indent=2))


def exact() -> dict[str, float]:
    """Deviations of blocks from the math form."""
    size, found = Size(2, 3, 1000, 32, 4), {}
    for name, settings in SETTINGS.items():
        gradients = []
        for long in (BLOCKS, MATH):
            attention.LONG = long
            learner, tasks = made(size, torch.float64, settings)
            gradients.append(learner.meta_gradient(tasks)[1])
        found[name] = distance(*gradients)
    return found


def times() -> dict[str, Any]:
    """Both forms, for each way to compute."""
    return {
        f"{tuple(size)}, {name}": beside(size, settings)
        for size in (SIZES if DEVICE == "cuda" else SMALL)
        for name, settings in SETTINGS.items()
    }


def crossing() -> dict[str, Any]:
    """Both forms, blocks whatever the length."""
    size = Size(8, 10, 0, 512, 8) if DEVICE == "cuda" else Size(2, 2, 0, 64, 8)
    return {
        str(length): beside(size._replace(length=length), SETTINGS["vectorised"], 0)
        for length in LENGTHS
    }


def captured() -> dict[str, Any]:
    """Blocks alone, compiled and recorded."""
    mib, ms = measured(SIZES[0], {"execution": "captured"}, BLOCKS)
    return {"mib": mib, "ms": ms}


def beside(size: Size, settings: dict[str, Any], blocks: int = BLOCKS) -> dict[str, Any]:
    """Memory and time of both forms, and their ratios where the math form has room."""
    ours = measured(size, settings, blocks)
    found: dict[str, Any] = {"mib": ours[0], "ms": ours[1]}
    try:
        theirs = measured(size, settings, MATH)
    except torch.OutOfMemoryError:
        return found | {"math": "out of memory"}
    found |= {"math_mib": theirs[0], "math_ms": theirs[1]}
    return found | {"memory": ours[0] / theirs[0], "time": ours[1] / theirs[1]}


def measured(size: Size, settings: dict[str, Any], long: int) -> tuple[float, float]:
    """MiB and milliseconds."""
    if DEVICE == "cuda":
        return here(size, settings, long)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(here, (size, settings, long))


def here(size: Size, settings: dict[str, Any], long: int) -> tuple[float, float]:
    """The same, in this process."""
    attention.LONG = long
    learner, tasks = made(size, torch.float32, settings)
    gc.collect()
    on.forget_memory(DEVICE)
    before = torch.cuda.memory_allocated() / 2**20 if DEVICE == "cuda" else on.resident()
    seconds = []
    for _ in range(3):
        on.wait(DEVICE)
        began = time.perf_counter()
        learner.meta_gradient(tasks)
        on.wait(DEVICE)
        seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / 2**20 if DEVICE == "cuda" else on.resident()
    return peak - before, 1000 * min(seconds[1:])


def made(size: Size, dtype: torch.dtype, settings: dict[str, Any]) -> tuple[MAML, TaskBatch]:
    """A learner and tasks, the same every time."""
    torch.manual_seed(0)
    model = Attending(size.width, size.heads).to(DEVICE, dtype)
    x = torch.randn(2, size.tasks, size.examples, size.length, size.width).to(DEVICE, dtype)
    y = torch.arange(size.examples).remainder(WAYS).repeat(size.tasks, 1).to(DEVICE)
    return MAML(model, LR, STEPS, **settings), TaskBatch(x[0], y, x[1], y)


if __name__ == "__main__":
    main(sys.argv[1:])
