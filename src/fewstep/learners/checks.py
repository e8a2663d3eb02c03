"""What a learner refuses before it computes: each mistake in one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.errors import InputError, first_line
from fewstep.functional import pure_call
from fewstep.inner import leaves
from fewstep.layers import check_layers, check_second_derivative
from fewstep.learners.scoring import ignored_label
from fewstep.problem import Problem
from fewstep.randomness import undisturbed
from fewstep.tasks import TaskBatch

Loss = Callable[[Any, Tensor], Tensor]

_OF_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss)
_DOES_NOT_FIT = (RuntimeError, ValueError, IndexError)


def check_choice(name: str, given: str, choices: tuple[str, ...]) -> None:
    """See that a setting is one of its values.

    Raises:
        InputError: Names the setting and the values.
    """
    if given not in choices:
        raise InputError(f"{name} is {given!r}; expected one of {', '.join(choices)}")


def check_at_least_zero(name: str, given: float) -> None:
    """See that a setting is no negative number and no NaN.

    Raises:
        InputError: Names the setting.
    """
    if not given >= 0:
        raise InputError(f"{name} is {given}; expected 0 or more")


class FitCheck:
    """Sees that tasks fit a model and a loss, by the support set of the first of them.

    Args:
        loss: Of (prediction, target).
    """

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._classes: dict[Hashable, int | None] = {}

    def __call__(self, model: nn.Module, tasks: TaskBatch) -> None:
        """Try the model and the loss once for tasks of a shape, and look at all labels.

        Raises:
            InputError: The model does not take the examples, or the loss not the targets.
        """
        check_layers(model)
        x, y, query_x = tasks.support_x, tasks.support_y, tasks.query_x
        one = (x.shape[1:], y.shape[1:], query_x.shape[1:])
        shape = (*one, x.dtype, y.dtype, x.device)
        if shape in self._classes:
            _check_labels(tasks, self._classes[shape], self._loss)
        else:
            self._classes[shape] = _try(model, self._loss, tasks)


def _try(model: nn.Module, loss: Loss, tasks: TaskBatch) -> int | None:
    """See that all fits, and tell how many classes the labels choose from."""
    x, query_x = tasks.support_x[0], tasks.query_x[0]
    prediction = _try_model(model, "support", x)
    if len(query_x) == 1:
        # Batch norm may refuse a single example.
        _try_model(model, "query", query_x)
    classes = _classes(prediction, loss)
    _check_labels(tasks, classes, loss)
    _try_loss(loss, prediction, tasks.support_y[0])
    return classes


def _try_model(model: nn.Module, part: str, x: Tensor) -> Any:
    try:
        with torch.no_grad(), undisturbed(x.device):
            return pure_call(model, {}, x)
    except InputError:
        raise
    except _DOES_NOT_FIT as error:
        raise InputError(
            f"the model does not take {part} examples of shape {list(x.shape)}, {x.dtype} "
            f"({first_line(error)})"
        ) from error


def _try_loss(loss: Loss, prediction: Any, target: Tensor) -> None:
    try:
        with warnings.catch_warnings():
            # PyTorch's losses only warn where they stretch one shape to the other.
            warnings.filterwarnings("error", "Using a target size")
            value = loss(prediction, target)
    except (*_DOES_NOT_FIT, UserWarning) as error:
        raise InputError(
            f"the loss does not take a prediction of shape {_shape(prediction)} and targets of "
            f"shape {list(target.shape)}, {target.dtype} ({first_line(error)})"
        ) from error
    scalar(value)


def check_twice_differentiable(problem: Problem, tasks: TaskBatch) -> None:
    """See that the support gradient can be differentiated, by the first task.

    Once for a learner is enough: it takes a gradient and a walk through its graph.

    Raises:
        InputError: It cannot.
    """
    start = leaves(problem.start)
    with undisturbed(tasks.support_x.device):
        loss = problem.support_loss(start, tasks.support_x[0], tasks.support_y[0])
    check_second_derivative(
        torch.autograd.grad(loss, list(start.values()), create_graph=True, materialize_grads=True)
    )


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


def _classes(prediction: Any, loss: Loss) -> int | None:
    """How many classes are predicted; None where targets are no labels of them."""
    of_classes = loss in (F.cross_entropy, F.nll_loss) or isinstance(loss, _OF_CLASSES)
    if not of_classes or not isinstance(prediction, Tensor) or prediction.dim() < 2:
        return None
    return prediction.shape[1]


def _check_labels(tasks: TaskBatch, classes: int | None, loss: Loss) -> None:
    """Out-of-range labels are undefined behaviour on a GPU and an obscure error elsewhere."""
    if classes is None:
        return
    for target in (tasks.support_y, tasks.query_y):
        if target.is_floating_point():
            continue
        counted = target[target != ignored_label(loss)]
        if len(counted) == 0:
            continue
        check_labels(counted, classes, "the model predicts")


def check_labels(labels: Tensor, classes: int, whose: str) -> None:
    """See that labels are those of a number of classes.

    Raises:
        InputError: Says where they run, and in ``whose`` words what is expected.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"labels run from {low} to {high}, but {whose} {classes} classes; "
            f"expected labels from 0 to {classes - 1}"
        )


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__
