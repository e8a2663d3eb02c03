"""Checkpoints: weights, optimiser and progress in one safetensors file, written whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.files import write_whole

FORMAT = "fewstep-1"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: Outer steps done.
        seconds: Time spent in the outer loop so far, validation included.
        best_step: After which outer step the validation score was best; 0 before the first.
        best_score: That score, or None.
    """

    step: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_score: float | None = None


def save(path: Path, tensors: dict[str, Tensor], progress: Progress) -> None:
    """Write a checkpoint; a reader sees the old one or the new one, never a part.

    Raises:
        InputError: It cannot be written; the old one stays.
    """
    metadata = {"format": FORMAT, "progress": json.dumps(asdict(progress))}
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
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
        raise InputError(
            f"{path} is damaged ({error}); restore it or train in a new run directory"
        ) from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} has format {metadata.get('format')!r}, expected {FORMAT!r}; it is of another "
            "version of fewstep: train in a new run directory"
        )
    return tensors, Progress(**json.loads(metadata["progress"]))


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under longer names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those under the prefix, with their own names."""
    start = f"{prefix}."
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}


def restore(parameters: dict[str, nn.Parameter], saved: dict[str, Tensor], path: Path) -> None:
    """Copy saved values into parameters.

    Raises:
        InputError: Names or shapes differ.
    """
    here = {name: list(value.shape) for name, value in parameters.items()}
    there = {name: list(value.shape) for name, value in saved.items()}
    if here != there:
        odd = next(n for n in {**here, **there} if here.get(n) != there.get(n))
        raise InputError(
            f"{path} has {odd} of shape {there.get(odd)}, expected {here.get(odd)}; it is of "
            "another network: train in a new run directory"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
