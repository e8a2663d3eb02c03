"""Provenance of a run: what it is computed with, and what of that decides its bits."""

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy
import torch

import fewstep
from fewstep.distributed.ranks import ranks
from fewstep.evaluation.evaluate import device_of
from fewstep.learners.base import Learner

Provenance = dict[str, str | int]
OCCASIONAL = ("steps of the schedule", "extra validation")  # recorded of some runs alone


def provenance(learner: Learner, tasks: Mapping[Any, Any]) -> Provenance:
    """Conditions that decide the bits of a run beside its settings, by name."""
    device = device_of(learner)
    return {
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        **(_of_gpus() if device.type == "cuda" else {}),
        "threads": torch.get_num_threads(),
        "ranks": ranks().size if learner.tasks_are_independent else 1,
        "data": fingerprint(tasks),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of fewstep, with its commit where that is known, and of what it stands on."""
    commit = _commit()
    return {
        "fewstep": fewstep.__version__,
        **({"commit": commit} if commit else {}),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
    }


def _commit() -> str:
    """The commit of the checkout that this package stands in; empty where it is installed."""
    package = Path(fewstep.__file__).resolve().parent
    root = package.parents[1]
    if package.parent.name != "src" or not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)
        return found.stdout.strip()
    return ""


def differences(before: Provenance, now: Provenance) -> str:
    """One line that names what differs, or nothing where nothing does or nothing was recorded."""
    found = [
        f"{name} changed"
        if name == "data"
        else f"{name} {before.get(name, 'none')}, now {now.get(name, 'none')}"
        for name in {**before, **now}
        if before.get(name) != now.get(name) and (name in before or name in OCCASIONAL)
    ]
    if not before or not found:
        return ""
    return f"going on, but perhaps not bit for bit as an undisturbed run: {'; '.join(found)}"


def _of_gpus() -> Provenance:
    """Versions of what computes there; no compiler writes its kernels where Triton is not."""
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    found: Provenance = {"CUDA": f"{torch.version.cuda}", "cuDNN": f"{cudnn}", "Triton": "none"}
    with suppress(PackageNotFoundError):
        found["Triton"] = version("triton")
    return found


def _processor() -> str:
    name = platform.processor()
    # Linux tells the model here alone.
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def fingerprint(tasks: Mapping[Any, Any]) -> str:
    """A digest of all data; tasks without any depend on the settings alone."""
    digest = hashlib.sha256()
    for _, source in sorted(tasks.items()):
        for part in source.content() if hasattr(source, "content") else ():
            digest.update(part)
    return digest.hexdigest()[:16]
