"""Prototypes: the mean features of each class (Snell, Swersky and Zemel 2017, equation 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from fewstep.errors import InputError


def prototypes(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The mean of the features of each class.

    Args:
        features: ``[examples, width]``.
        labels: ``int64 [examples]``.
        classes: How many there are.

    Returns:
        ``[classes, width]``.
    """
    belongs = (torch.arange(classes, device=labels.device)[:, None] == labels).to(features.dtype)
    return belongs @ features / belongs.sum(1, keepdim=True)


def number_of_classes(labels: Tensor) -> int:
    """One more than the largest label.

    Raises:
        InputError: The targets are no labels.
    """
    if labels.is_floating_point() or labels.dim() != 2:
        raise InputError(
            f"targets are {labels.dtype} of shape {list(labels.shape)}; prototypes need integer "
            "labels, one an example"
        )
    return int(labels.max()) + 1


def check_classes(labels: Tensor, classes: int) -> None:
    """See that the support set of every task has an example of every class.

    Args:
        labels: ``int64 [tasks, examples]``.
        classes: How many there are.

    Raises:
        InputError: Names the task and the class.
    """
    there = (labels[:, None] == torch.arange(classes, device=labels.device)[:, None]).any(-1)
    missing = (~there).nonzero().tolist()
    if missing:
        task, label = missing[0]
        raise InputError(
            f"task {task} has no support example of class {label}; prototypes need at least one of "
            f"each class from 0 to {classes - 1}"
        )
