"""Examples that come with their labels: a folder a class, a set of pictures, lists by label."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewstep.data.images import ImageClasses
from fewstep.data.own_pictures import support_files
from fewstep.data.preparation import Preparation
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
        return _of_folder(Path(x))
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


def preparation_of(x: Any) -> Preparation | None:
    """How the pictures of a `fewstep.data.ImageFolder`, or of a part of one, were prepared."""
    images = getattr(x, "images", x)
    return images.preparation if isinstance(images, ImageClasses) else None


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


def _of_folder(folder: Path) -> tuple[list[Path], list[Any]]:
    found = support_files(folder)
    if found.problems:
        more = f" and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        warnings.warn(f"left out: {found.problems[0]}{more}", stacklevel=4)
    return found.files, list(found.labels or ())
