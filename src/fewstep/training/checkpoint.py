"""Checkpoints: weights, optimiser and progress in one safetensors file, written whole."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.files import write_whole

FORMAT = "fewstep-2"
WITHOUT_CHECKSUM = "fewstep-1"
"""The format before, which is still read."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Outer steps done.
        seconds: Time spent in the outer loop so far, validation included.
        best_step: After which outer step the validation score was best; 0 before the first.
        best_score: That score, or None.
        computed_with: What decided the bits beside the config (`training.provenance`); empty
            where that was not recorded.
        settings: Digest of the settings that it is trained by; empty where it was not recorded.
        optimizer: Settings of the optimiser and what it keeps beside tensors, by name.
    """

    step: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_score: float | None = None
    computed_with: dict[str, str | int] = field(default_factory=dict)
    settings: str = ""
    optimizer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = (self.step, self.best_step, self.seconds, self.best_score or 0.0)
        if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
            raise ValueError(f"{numbers} are not all numbers")
        if type(self.step) is not int or not 0 <= self.best_step <= self.step:
            raise ValueError(f"outer step {self.step} with the best one {self.best_step}")
        if not isinstance(self.computed_with, dict):
            raise TypeError(f"computed with {self.computed_with!r}")

    def is_spent(self, patience: int, val_every: int) -> bool:
        """Whether so many validations since the best one found nothing better."""
        fruitless = self.step // val_every - self.best_step // val_every
        return 0 < patience <= fruitless and self.best_score is not None


def save(path: Path, tensors: dict[str, Tensor], progress: Progress) -> None:
    """Write a checkpoint; a reader sees the old one or the new one, never a part.

    Raises:
        InputError: A value is not finite, or it cannot be written; the old one stays.
    """
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


def load(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """Read a checkpoint.

    Raises:
        InputError: It is missing, damaged or of another version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; train in this run directory first") from error
    except (OSError, SafetensorError) as error:
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


def check_settings(path: Path, progress: Progress, digest: str) -> None:
    """See that a checkpoint is of a run of these settings, as far as it tells.

    Raises:
        InputError: It is of another run.
    """
    if progress.settings not in ("", digest):
        raise InputError(
            f"{path} is of a run of other settings than config.json beside it; restore it or train "
            "in a new run directory"
        )


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged ({why}); restore it or train in a new run directory")


def _checksum(tensors: dict[str, Tensor], progress: str) -> str:
    """Digest of everything that a checkpoint says: names, types, shapes, values, progress."""
    digest = hashlib.sha256(progress.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"\n{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _not_finite(tensors: dict[str, Tensor]) -> str | None:
    """The name of a tensor with a value that is not finite, if there is one."""
    return next((name for name, value in tensors.items() if not value.isfinite().all()), None)


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under longer names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those under the prefix, with their own names."""
    start = f"{prefix}."
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}


def check_complete(saved: dict[str, Tensor], expected: dict[str, Tensor], path: Path) -> None:
    """See that a checkpoint holds the tensors that it should, and no others.

    Args:
        saved: Those of the checkpoint.
        expected: Tensors of the same names, shapes and types.
        path: Of the checkpoint, for the message.

    Raises:
        InputError: A name, a shape or a type differs.
    """
    here = {name: _kind(value) for name, value in expected.items()}
    there = {name: _kind(value) for name, value in saved.items()}
    if here != there:
        odd = next(n for n in {**here, **there} if here.get(n) != there.get(n))
        raise InputError(
            f"{path} has {odd} as {there.get(odd, 'nothing')}, expected {here.get(odd, 'nothing')}"
            "; it is damaged or of another network: restore it or train in a new run directory"
        )


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def restore(parameters: dict[str, nn.Parameter], saved: dict[str, Tensor], path: Path) -> None:
    """Copy saved values into parameters.

    Raises:
        InputError: Names, shapes or types differ.
    """
    check_complete(saved, dict(parameters), path)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
