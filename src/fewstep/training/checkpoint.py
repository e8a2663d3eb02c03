"""Checkpoints: weights, optimiser and progress in one safetensors file, written whole."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fewstep.errors import InputError
from fewstep.files import cannot_read, write_whole
from fewstep.functional.swapped import Params

FORMAT = "fewstep-2"
WITHOUT_CHECKSUM = "fewstep-1"  # the format before, which is still read


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0  # outer steps done
    seconds: float = 0.0  # in the outer loop so far, validation included
    best_step: int = 0  # after which validation was best; 0 before the first
    best_score: float | None = None
    computed_with: dict[str, str | int] = field(default_factory=dict)  # its `provenance`, or empty
    settings: str = ""  # digest of those that it is trained by; empty where it was not recorded
    optimizer: dict[str, Any] = field(default_factory=dict)  # its settings and plain values
    top: list[list[float]] = field(default_factory=list)  # outer step and score, the best first

    def __post_init__(self) -> None:
        numbers = (self.step, self.best_step, self.seconds, self.best_score or 0.0)
        if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
            raise ValueError(f"{numbers} are not all numbers")
        if type(self.step) is not int or not 0 <= self.best_step <= self.step:
            raise ValueError(f"outer step {self.step} with the best one {self.best_step}")
        if not isinstance(self.computed_with, dict):
            raise TypeError(f"computed with {self.computed_with!r}")
        for step, score in self.top:
            if type(step) is not int or not math.isfinite(score):
                raise ValueError(f"a best validation of {score!r} after outer step {step!r}")

    def is_spent(self, patience: int, val_every: int) -> bool:
        """Whether so many validations since the best one found nothing better."""
        fruitless = self.step // val_every - self.best_step // val_every
        return 0 < patience <= fruitless and self.best_score is not None


def save(path: Path, tensors: Params, progress: Progress) -> None:
    """Write a checkpoint; a reader sees the old one or the new one, never a part."""
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    bad = _not_finite(ready)
    if bad:
        raise InputError(
            f"{bad} is not finite after outer step {progress.step} and was not saved to {path}; "
            "try a smaller step size, inner or outer, in a new run directory"
        )
    told = json.dumps(asdict(progress))
    metadata = {"format": FORMAT, "progress": told, "sha256": _checksum(ready, told)}
    content = safetensors.torch.save(ready, metadata)
    write_whole(path, lambda part: part.write_bytes(content))


def load(path: Path) -> tuple[Params, Progress]:
    """Read a checkpoint, which may be missing, damaged or of another version."""
    try:
        # Which of safetensors' own errors it is depends on its version.
        path.open("rb").close()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; train in this run directory first") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    told, version = metadata.get("progress", ""), metadata.get("format")
    if version not in (FORMAT, WITHOUT_CHECKSUM):
        raise InputError(
            f"{path} has format {version!r}, expected {FORMAT!r}; it is damaged or of another "
            "version of fewstep: restore it or train in a new run directory"
        )
    if version == FORMAT and metadata.get("sha256") != _checksum(tensors, told):
        raise _damaged(path, "it is not what its checksum was made of")
    bad = _not_finite(tensors)
    if bad:
        raise _damaged(path, f"{bad} is not finite")
    try:
        return tensors, Progress(**json.loads(told))
    except (ValueError, TypeError) as error:
        raise _damaged(path, f"its progress cannot be read: {error}") from error


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged ({why}); restore it or train in a new run directory")


def _checksum(tensors: Params, progress: str) -> str:
    """Digest of everything that a checkpoint says: names, types, shapes, values, progress."""
    digest = hashlib.sha256(progress.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"\n{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _not_finite(tensors: Params) -> str | None:
    """The name of a tensor with a value that is not finite, if there is one."""
    return next((name for name, value in tensors.items() if not value.isfinite().all()), None)


def with_prefix(prefix: str, tensors: Params) -> Params:
    """The same tensors under longer names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def without_prefix(prefix: str, tensors: Params) -> Params:
    """Those under the prefix, with their own names."""
    start = f"{prefix}."
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}


def check_complete(saved: Params, expected: Mapping[str, Tensor], path: Path) -> None:
    """See that a checkpoint has tensors of the names, shapes and types expected, and no others."""
    here, there = (
        {n: f"{str(v.dtype).removeprefix('torch.')} {list(v.shape)}" for n, v in tensors.items()}
        for tensors in (expected, saved)
    )
    if here != there:
        odd = next(n for n in {**here, **there} if here.get(n) != there.get(n))
        raise InputError(
            f"{path} has {odd} as {there.get(odd, 'nothing')}, expected {here.get(odd, 'nothing')}"
            "; it is damaged or of another network: restore it or train in a new run directory"
        )
