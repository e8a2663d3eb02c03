"""The device that is measured on: waiting for it, its name, and its memory."""

from __future__ import annotations

from pathlib import Path

import torch


def wait(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def without_tf32() -> None:
    """Let every product of float32 numbers be one of float32 numbers."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def forget_memory(device: str) -> None:
    """Give back what is not in use, and let `memory` begin anew; on a CPU neither can be done."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def memory(device: str, imports: float) -> dict[str, float]:
    """MiB at the peak: reserved and allocated on a GPU, else resident beyond what imports took."""
    if device == "cuda":
        return {
            "peak_mib": torch.cuda.max_memory_reserved() / 2**20,
            "allocated_mib": torch.cuda.max_memory_allocated() / 2**20,
        }
    return {"peak_mib": sum(resident(process) - imports for process in ("self", *_forks()))}


def resident(process: str = "self") -> float:
    """The most memory a process ever held, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def _forks() -> list[str]:
    """Processes that were forked from this one, without those that only compile."""
    own = Path("/proc/self/cmdline").read_text()
    found = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [child for child in found.split() if Path(f"/proc/{child}/cmdline").read_text() == own]


def kernels(function: object, most: int = 16) -> str:
    """The kernels of one call that take longest, as lines of text."""
    from torch.profiler import ProfilerActivity, profile

    assert callable(function)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        function()
        torch.cuda.synchronize()
    found = sorted(profiled.key_averages(), key=lambda e: -e.self_device_time_total)
    total, count = sum(e.self_device_time_total for e in found), sum(e.count for e in found)
    lines = [f"{count} kernels, {total / 1000:.3f} ms"]
    for e in found[:most]:
        lines.append(f"{e.self_device_time_total:9.0f} us {e.count:5d}x  {e.key[:110]}")
    return "\n".join(lines)
