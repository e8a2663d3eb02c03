"""What decides the bits of a run beside its config: software, machine, threads and data."""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from pathlib import Path

import numpy
import torch

from fewstep.config.schema import Config
from fewstep.data.source import Split, TaskSource
from fewstep.distributed.parallel import Parallel
from fewstep.learners.base import Learner

Provenance = dict[str, str | int]


def provenance(config: Config, learner: Learner, tasks: dict[Split, TaskSource]) -> Provenance:
    """What a run is computed with, by name.

    Args:
        config: Of the run.
        learner: Tells whether several processes share an outer step.
        tasks: Of each split.
    """
    threads = torch.get_num_threads()
    shared = isinstance(learner, Parallel) and learner.learner.tasks_are_independent
    told: Provenance = {
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "device": _device(config.device),
        "threads": threads,
        "workers": (config.workers or threads) if shared else 1,
        "data": _fingerprint(tasks),
    }
    scheduled = (
        config.final_outer_lr is not None or config.multi_step_loss or config.first_order_share
    )
    return {**told, "steps of the schedule": config.steps} if scheduled else told


def differences(before: Provenance, now: Provenance) -> str:
    """One line that names what differs, or nothing where nothing does or nothing was recorded."""
    found = [
        f"{name} changed"
        if name == "data"
        else f"{name} {before.get(name, 'none')}, now {now.get(name, 'none')}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if not before or not found:
        return ""
    return f"going on, but perhaps not bit for bit as an undisturbed run: {'; '.join(found)}"


def _processor() -> str:
    name = platform.processor()
    # Linux tells the model here alone.
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _device(name: str) -> str:
    kind = torch.device(name).type
    return torch.cuda.get_device_name(name) if kind == "cuda" else kind


def _fingerprint(tasks: dict[Split, TaskSource]) -> str:
    """A digest of all data; tasks without any depend on the config alone."""
    digest = hashlib.sha256()
    for _, source in sorted(tasks.items()):
        for part in source.content():
            digest.update(part)
    return digest.hexdigest()[:16]
