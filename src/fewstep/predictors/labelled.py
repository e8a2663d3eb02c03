"""Examples that come with their labels: a folder a class, a set of pictures, lists by label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewstep.data.images import ImageClasses
from fewstep.errors import InputError
from fewstep.predictors.inputs import gathered


def labelled(x: Any) -> tuple[Any, list[Any]]:
    """The examples and the label of each.

    Args:
        x: The path of a folder with a folder of pictures a class, a `fewstep.data.ImageFolder` or
            a part of one, or ``{label: examples}``.

    Raises:
        InputError: It is none of these, or has no examples.
    """
    if isinstance(x, str | Path):
        return _of_classes(_listed(Path(x)))
    images = getattr(x, "images", x)
    if isinstance(images, ImageClasses):
        ends = zip(images.names, images.starts.tolist(), images.counts.tolist(), strict=True)
        return _of_classes({name: images.pictures[i : i + count] for name, i, count in ends})
    if isinstance(x, Mapping):
        return _of_classes(x)
    raise InputError(
        f"requires y to be passed, but the target y is None and x is a {type(x).__name__}; give "
        "one label an example, a folder with a folder a class, or {label: examples}"
    )


def _of_classes(classes: Mapping[Any, Any]) -> tuple[Any, list[Any]]:
    if not classes:
        raise InputError("the support set has no class; expected two or more")
    parts = {label: gathered(examples) for label, examples in classes.items()}
    labels = [label for label, part in parts.items() for _ in range(len(part))]
    values = list(parts.values())
    if all(isinstance(part, Tensor) for part in values):
        return torch.cat(values), labels
    if all(isinstance(part, np.ndarray) for part in values):
        return np.concatenate(values), labels
    return [example for part in values for example in part], labels


def _listed(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each folder inside a folder."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise InputError(f"{folder} {what}; expected a folder with a folder of pictures a class")
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
        found = {
            path.name: sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
            for path in inside
            if path.name[0] != "."
        }
    except OSError as error:
        raise InputError(f"cannot read {folder} ({error.strerror or error})") from error
    empty = [name for name, files in found.items() if not files]
    if empty or not found:
        told = f"{folder / empty[0]} holds no picture" if empty else f"{folder} holds no folder"
        example = folder / "owl" / "1.jpg"
        raise InputError(f"{told}; expected a folder of pictures a class, as in {example}")
    return found
