"""Correctness and speed of recorded outer steps on a GPU, in one call of a few minutes.

``python -m benchmarks.gpu OUT [SECONDS] [ROW ...]`` compiles all rows at the same time, each in a
process of its own, and then times them one after another, so that none shares the device. It
compares gradients in float64 with a plain loop, and writes ``OUT/gpu.json``, the kernels that take
longest to ``OUT/kernels.txt``, and the messages of all processes to ``OUT/log.txt``. A row that
fails or takes too long stops no other.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.workloads import WORKLOADS, Workload, max_pool_conv4
from fewstep import MAML, TaskBatch
from fewstep.execution.captured import Captured
from fewstep.execution.recordings import Recordings
from fewstep.metagrad.objective import Traceable
from fewstep.models.context import WithContext
from fewstep.runtime.compile_cache import CompiledFunctions
from fewstep.runtime.modes import exclusive

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in WORKLOADS},
    "W3 flat": ("W3", {"memory": "flat"}),
    "W1 not compiled": ("W1", {"compiled": False}),
    "W3 float64": ("W3", {"dtype": torch.float64}),
    "W1 again": ("W1", {}),
}
"""A workload and settings to be timed. The last is begun when all others have ended."""
CHECKED = ("exact", "family")
"""Rows that are not timed: gradients in float64."""
FAMILY: dict[str, dict[str, Any]] = {
    "maml": {},
    "fomaml": {"order": "first"},
    "anil": {"adapting": "head"},
    "boil": {"adapting": "body"},
    "meta-sgd": {"step_sizes": "per-element"},
    "maml++": {
        "step_sizes": "per-step",
        "per_step_affine": True,
        "per_step_statistics": True,
        "multi_step_loss": 10,
    },
    "cavia": {"adapting": "context"},
    "momentum": {"inner_optimizer": "momentum"},
    "adam": {"inner_optimizer": "adam", "inner_lr": 0.02},
}
TIMES = 15
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Without a GPU the same is run, unrecorded, to try the script."""


def wait() -> None:
    """Until the device has done all that it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def captured(learner: MAML, tasks: TaskBatch, **settings: Any) -> Callable[[], dict[str, Tensor]]:
    """Make the gradient function of a learner that is recorded."""
    recordings = Recordings(recorded=DEVICE == "cuda", **settings)

    def gradient() -> dict[str, Tensor]:
        with exclusive():
            objective, traits = learner.objective(tasks, learner.norm, training=True)
            pure = learner._pure("own", traits)
            traceable = Traceable(CompiledFunctions(), pure, learner.loss, learner.precision, True)
            executor = Captured(objective, traceable, recordings, len(tasks))
            return executor.meta_gradient(tasks, learner._gradient(0)).gradient

    return gradient


def deviation(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The distance between two gradients, relative to the length of the second."""
    off = sum(float((found[n] - g).square().sum()) for n, g in expected.items())
    return float((off / sum(float(g.square().sum()) for g in expected.values())) ** 0.5)


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Small ones of several kinds, with the shape of one example of each."""
    torch.manual_seed(0)
    return {
        "conv, batch norm, max pool": (max_pool_conv4(1, 16, 5, 4), (1, 16, 16)),
        "conv, running statistics": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, stride=2, padding=1),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(64, 5),
            ),
            (2, 8, 8),
        ),
        "conv, group norm": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3),
                nn.GroupNorm(2, 4),
                nn.GELU(),
                nn.MaxPool2d(3, 2, 1),
                nn.Flatten(),
                nn.Linear(36, 5),
            ),
            (2, 8, 8),
        ),
        "mlp, layer norm": (
            nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 5)),
            (6,),
        ),
        "conv-1d": (
            nn.Sequential(
                nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 5)
            ),
            (2, 6),
        ),
        "transformer": (WORKLOADS["W5"].model(), (32, 64)),
    }


Checks = Iterator[tuple[str, Callable[[], float]]]


def check_family() -> Checks:
    """Every algorithm on the device in float64, recorded but not compiled, beside the loop."""
    nets = networks()
    for name, (net, shape) in nets.items():
        yield name, partial(_compared, net, shape, {}, compiled=False)
    net, shape = nets["conv, running statistics"]
    for name, settings in FAMILY.items():
        model = WithContext(net, 3, "1", 4) if name == "cavia" else net
        yield name, partial(_compared, model, shape, settings, compiled=False)
    yield "maml, compiled", partial(_compared, net, shape, {}, compiled=True)
    plus = FAMILY["maml++"]
    yield "maml++, compiled", partial(_compared, net, shape, plus, compiled=True)


def check_exact() -> Checks:
    """The networks of the workloads in float64, compiled, with fewer tasks, beside the loop."""
    for name in ("W4", "W1", "W5"):
        workload = replace(WORKLOADS[name], tasks=2, steps=2)
        model, tasks = workload.build(torch.float64).to(DEVICE), workload.batch(torch.float64)
        learner = _learner(workload, model, loop=True)
        yield name, partial(_deviation, learner, tasks.to(DEVICE), {})


def _compared(
    model: nn.Module, shape: tuple[int, ...], settings: dict[str, Any], compiled: bool
) -> float:
    model = model.double().to(DEVICE)
    torch.manual_seed(1)
    x = torch.randn(2, 3, 10, *shape, dtype=torch.float64, device=DEVICE)
    y = torch.arange(5, device=DEVICE).repeat(3, 2)
    settings = {"inner_lr": 0.1, "execution": "loop", **settings}
    learner = MAML(model, inner_steps=2, **settings)
    return _deviation(learner, TaskBatch(x[0], y, x[1], y), {"compiled": compiled})


def _deviation(learner: MAML, tasks: TaskBatch, settings: dict[str, Any]) -> float:
    expected = learner.meta_gradient(tasks)[1]
    gradient = captured(learner, tasks, **settings)
    gradient()
    # Twice, since only the second is of the recording alone.
    return deviation(gradient(), expected)


def _learner(workload: Workload, model: nn.Module, loop: bool = False, **settings: Any) -> MAML:
    execution = "loop" if loop else "auto"
    given = {"loss": workload.loss, "execution": execution, **settings}
    return MAML(model, workload.lr, workload.steps, **given)


def timed(function: Callable[[], object]) -> float:
    """Median milliseconds, waiting for the device before and after each."""
    for _ in range(3):
        function()
    times = []
    for _ in range(TIMES):
        wait()
        began = time.perf_counter()
        function()
        wait()
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


def kernels(function: Callable[[], object]) -> str:
    """Which kernels take longest."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        function()
        wait()
    found = sorted(profiled.key_averages(), key=lambda e: -e.self_device_time_total)
    total, count = sum(e.self_device_time_total for e in found), sum(e.count for e in found)
    lines = [f"{count} kernels, {total / 1000:.3f} ms"]
    lines += [
        f"{e.self_device_time_total:9.0f} us {e.count:5d}x  {e.key[:110]}" for e in found[:16]
    ]
    return "\n".join(lines)


def row(name: str) -> None:
    """Compile one row, say so, and time it when told."""
    if name in CHECKED:
        for part, check in {"family": check_family, "exact": check_exact}[name]():
            try:
                _say({part: check()})
            except Exception as error:
                traceback.print_exc()
                _say({part: _told(error)})
        return
    of, settings = ROWS[name]
    memory, dtype = settings.pop("memory", "fast"), settings.pop("dtype", torch.float32)
    workload = WORKLOADS[of]
    model, tasks = workload.build(dtype).to(DEVICE), workload.batch(dtype).to(DEVICE)
    learner = _learner(workload, model, memory=memory)
    began = time.perf_counter()
    gradient = captured(learner, tasks, **settings)
    gradient()
    wait()
    _say({"set_up_s": time.perf_counter() - began, "ready": True})
    sys.stdin.readline()
    found: dict[str, Any] = {"ms": timed(gradient)}
    if DEVICE == "cuda":
        found["reserved_mib"] = torch.cuda.max_memory_reserved() / 2**20
        found["kernels"] = kernels(gradient)
    _say(found)
    if name == "W1 again":
        return
    exact_tasks = workload.batch(torch.float64).to(DEVICE)
    exact = _learner(workload, workload.build(torch.float64).to(DEVICE), loop=True)
    expected = exact.meta_gradient(exact_tasks)[1]
    _say({"deviation": deviation(gradient(), expected)})
    if name in WORKLOADS:
        by_vmap = learner.meta_gradient(tasks)[1]
        _say({"vectorised_deviation": deviation(by_vmap, expected)})
        _say({"vectorised_ms": timed(lambda: learner.meta_gradient(tasks))})


def _say(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]


class Row:
    """The process of one row, and what it has said."""

    def __init__(self, name: str, log: Any, began: float) -> None:
        self.name, self.kernels, self._began = name, "", began
        self.said: dict[str, Any] = {}
        environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "3"}
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu", "--row", name]
        self.process = subprocess.Popen(
            command,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
        self.ready, self.done = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said |= json.loads(line)
            self.kernels = self.said.pop("kernels", self.kernels)
            if "ready" in self.said:
                self.ready.set()
        self.said["ended_s"] = time.monotonic() - self._began
        self.ready.set()
        self.done.set()

    def go(self, seconds: float) -> None:
        """Let it time, alone."""
        if seconds > 0 and self.process.poll() is None and self.process.stdin is not None:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
            self.done.wait(seconds)
        self.process.kill()


def main(out: Path, seconds: float, names: list[str]) -> None:
    """Run rows and write what they found."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log.txt").open("w") as log:
        rows = [Row(name, log, began) for name in names if name != "W1 again"]
        # A quarter of the time is for timing.
        for started in rows:
            event = started.done if started.name in CHECKED else started.ready
            event.wait(max(0.0, 0.75 * seconds - (time.monotonic() - began)))
        for started in rows:
            if not (started.ready.is_set() or started.done.is_set()):
                started.said["failed"] = "not compiled in time"
                started.process.kill()
        for started in rows:
            # What is known is kept, should the time be up.
            started.go(min(20.0, seconds - (time.monotonic() - began)))
            _write(out, rows)
        left = seconds - (time.monotonic() - began)
        if "W1 again" in names and left > 20:
            rows.append(Row("W1 again", log, began))
            rows[-1].ready.wait(left - 5)
            rows[-1].go(5.0)
    _write(out, rows)
    for row in rows:
        print("\n".join([row.name, *row.kernels.split("\n")[:6]]))
    for row in rows:
        rounded = {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in row.said.items()}
        print(f"{row.name:18}", rounded)


def _write(out: Path, rows: list[Row]) -> None:
    told = {row.name: row.said for row in rows}
    (out / "kernels.txt").write_text("\n".join(f"{row.name}\n{row.kernels}\n" for row in rows))
    about = {
        "card": torch.cuda.get_device_name() if DEVICE == "cuda" else "none",
        "torch": torch.__version__,
    }
    (out / "gpu.json").write_text(json.dumps({**about, "rows": told}, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--row":
        logging.basicConfig(level="INFO", format=f"{sys.argv[2]}: %(message)s")
        try:
            row(sys.argv[2])
        except Exception as error:
            traceback.print_exc()
            _say({"failed": _told(error)})
    else:
        limit = float(sys.argv[2]) if len(sys.argv) > 2 else 300.0
        main(Path(sys.argv[1]), limit, sys.argv[3:] or [*ROWS, *CHECKED])
