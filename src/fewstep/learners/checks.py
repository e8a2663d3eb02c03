"""What a learner refuses before it computes: each mistake in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.functional import check_running_statistics, pure_call
from fewstep.tasks import TaskBatch

_DOES_NOT_FIT = (RuntimeError, ValueError, IndexError)


def check_choice(name: str, given: str, choices: tuple[str, ...]) -> None:
    """See that a setting is one of its values.

    Raises:
        InputError: Names the setting and the values.
    """
    if given not in choices:
        raise InputError(f"{name} is {given!r}; expected one of {', '.join(choices)}")


def check_fit(model: nn.Module, loss: Callable[[Any, Tensor], Tensor], tasks: TaskBatch) -> None:
    """See that tasks fit the model and the loss, by the support set of the first of them.

    Raises:
        InputError: The model does not take the examples, or the loss not the targets.
    """
    check_running_statistics(model)
    x, y = tasks.support_x[0], tasks.support_y[0]
    try:
        with torch.no_grad():
            prediction = pure_call(model, {}, x)
    except _DOES_NOT_FIT as error:
        raise InputError(
            f"the model does not take support examples of shape {list(x.shape)} "
            f"({_first_line(error)})"
        ) from error
    if loss is F.cross_entropy:
        for target in (tasks.support_y, tasks.query_y):
            _check_labels(prediction, target)
    try:
        value = loss(prediction, y)
    except _DOES_NOT_FIT as error:
        raise InputError(
            f"the loss does not take a prediction of shape {_shape(prediction)} and targets of "
            f"shape {list(y.shape)}, {y.dtype} ({_first_line(error)})"
        ) from error
    scalar(value)


def scalar(value: Tensor) -> Tensor:
    """The value itself.

    Raises:
        InputError: It is no tensor with a single value.
    """
    if not isinstance(value, Tensor) or value.dim() != 0:
        raise InputError(
            f"the loss returned {_shape(value)}; expected a tensor with a single value"
        )
    return value


def _check_labels(prediction: Any, target: Tensor) -> None:
    """Out-of-range labels are undefined behaviour on a GPU and an obscure error elsewhere."""
    if target.is_floating_point() or not isinstance(prediction, Tensor) or prediction.dim() < 2:
        return
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= prediction.shape[1]:
        raise InputError(
            f"labels run from {low} to {high}, but the model predicts {prediction.shape[1]} "
            f"classes; expected labels from 0 to {prediction.shape[1] - 1}"
        )


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0]


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__
