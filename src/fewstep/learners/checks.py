"""Settings, losses and labels that a learner refuses.

Every function raises `InputError` where it finds a mistake, with one line that says what to do.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from fewstep.errors import InputError
from fewstep.functional.call import LOSS
from fewstep.functional.guards import check_second_derivative
from fewstep.functional.loss import loss_module
from fewstep.metagrad.inner_loop import INNER_LR, PER_STEP, as_leaf_tensors, with_gradient
from fewstep.metagrad.objective import Objective
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch

Loss = Callable[[Any, Tensor], Tensor]

LOSSES: dict[str, Loss] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}


def check_choice(name: str, given: object, literal: Any) -> None:
    """See that a setting is one of the values of its type."""
    choices = get_args(literal)
    if given not in choices:
        raise InputError(f"{name} is {given!r}; expected one of {', '.join(choices)}")


def check_at_least_zero(name: str, given: Any) -> float:
    """See that a setting is a finite number, not negative."""
    return _finite(name, given, "0 or more", lambda number: number >= 0)


def check_above_zero(name: str, given: Any) -> float:
    """See that a setting is a finite number above 0."""
    return float(_finite(name, given, "more than 0", lambda number: number > 0))


def _finite(name: str, given: Any, expected: str, fits: Callable[[Any], bool]) -> float:
    is_number = type(given) is not bool and isinstance(given, numbers.Real)
    if not is_number:
        raise InputError(f"{name} is {given!r}, a {type(given).__name__}; expected a number")
    if not fits(given):
        raise InputError(f"{name} is {given}; expected {expected}")
    if not math.isfinite(given):
        raise InputError(f"{name} is {given}; expected a finite number")
    return given if type(given) is int else float(given)


def check_module(model: object, loss: Loss) -> None:
    """See that a model is a module that a learner can take, beside what else it learns."""
    if isinstance(model, type):
        raise InputError(
            f"model is the class {model.__name__}; expected a module made of it, as in "
            f"{model.__name__}(...)"
        )
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}; expected a torch.nn.Module")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            layer = name.rpartition(".")[0]
            raise InputError(
                f"layer {layer!r} has parameters without a shape yet; call the model once with an "
                "example first"
            )
    taken = (INNER_LR, PER_STEP, *((LOSS,) if loss_module(loss, model) is not None else ()))
    for name, _ in (*model.named_parameters(), *model.named_buffers()):
        if name.startswith(taken):
            raise InputError(
                f"the model has {name!r}, a name that the learner uses for what it learns beside "
                "the model; rename that part of the model"
            )


def check_learns(model: nn.Module) -> None:
    """See that a model has something to learn."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(
            "no parameter of the model requires a gradient; leave at least one to be learned"
        )


def check_memory(memory: str, repeats: bool) -> None:
    """See that a model repeats its predictions with the same seeds where flat memory needs it."""
    if memory == "flat" and not repeats:
        raise InputError(
            "the model draws random numbers from a generator of its own, and flat memory needs the "
            'same ones again; let it use PyTorch\'s, or choose memory="fast"'
        )


def check_examples(x: object, y: object) -> None:
    """See that a support set is one."""
    for name, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor if name == "y" else (Tensor, tuple, dict)):
            also = ", or a tuple or dict of such" if name == "x" else ""
            raise InputError(
                f"{name} is a {type(value).__name__}; expected a torch.Tensor [examples, ...]{also}"
            )


def check_tasks(tasks: object) -> None:
    """See that tasks are what they have to be."""
    if not isinstance(tasks, TaskBatch):
        raise InputError(
            f"tasks is a {type(tasks).__name__}; expected a fewstep.TaskBatch, as in "
            "TaskBatch(support_x, support_y, query_x, query_y)"
        )


def loss_of(given: Any) -> Loss:
    """A loss, which may be given by its name."""
    if isinstance(given, str) and given in LOSSES:
        return LOSSES[given]
    if isinstance(given, (str, type)) or not callable(given):
        told = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
        raise InputError(
            f"loss is {told}; expected a function of (prediction, target), or one of "
            f"{', '.join(LOSSES)}"
        )
    return given  # type: ignore[no-any-return]


def check_twice_differentiable(objective: Objective, tasks: TaskBatch) -> None:
    """See that the first task's support gradient has a derivative; once a learner is enough."""
    start = as_leaf_tensors(objective.start)
    x, y, *_ = tasks.task(0)
    with preserve_rng_state():
        loss = objective.support_loss(start, x, y)
    inputs = list(start.values())
    check_second_derivative(
        torch.autograd.grad(with_gradient(loss), inputs, create_graph=True, materialize_grads=True)
    )


def same_but_for_rounding(one: Tensor, other: Tensor, least: float = 1e-5) -> bool:
    """Whether two results agree to a thousandth, or to ``least`` where they are small."""
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=1e-3, atol=least, equal_nan=True
    )


def scalar(value: Tensor) -> Tensor:
    """The value itself."""
    if not isinstance(value, Tensor) or value.dim() != 0:
        raise InputError(
            f"the loss returned {shape_of(value)}; expected a tensor with a single value, such as "
            "its mean"
        )
    return value


def check_labels(labels: Tensor, classes: int, whose: str) -> None:
    """See that labels are those of a number of classes."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"labels run from {low} to {high}, but {whose} {classes} classes; "
            f"expected labels from 0 to {classes - 1}"
        )


def shape_of(value: Any) -> str:
    """The shape of a tensor, or the type of something else, in words."""
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__
