"""How well a task is solved, as numbers for people. They are never on the gradient's path."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._C._functorch import is_batchedtensor
from torch.utils import _pytree as pytree

from fewstep.errors import InputError, first_line, let_out_of_memory_through
from fewstep.functional.loss import unwrapped

Metric = Callable[[Any, Tensor], Any]  # of (prediction, target) of one task, to a number


class Metrics:
    """The metrics of a learner.

    Without any given it is the accuracy, where the shapes say what is predicted: integer targets
    ``[examples, ...]`` and a number for each of two classes or more; else the loss, under its name
    ``"mse"`` where it is that, or ``"loss"``.
    """

    def __init__(self, loss: object, given: Mapping[str, Metric] | None = None) -> None:
        if given is not None and not (
            isinstance(given, Mapping)
            and given
            and all(isinstance(name, str) and callable(f) for name, f in given.items())
        ):
            raise InputError(
                f"metrics is {given!r}; expected a dict of functions of (prediction, target), as "
                'in metrics={"mae": F.l1_loss}'
            )
        self._loss = loss
        self._given = dict(given or {})
        self._form: tuple[pytree.TreeSpec, list[Any]] | None = None

    @property
    def key(self) -> tuple[tuple[str, int], ...]:
        """The same for metrics that are computed by the same functions, as long as these live."""
        return tuple((name, id(function)) for name, function in self._given.items())

    def needed(self, prediction: Any) -> list[Tensor]:
        """The tensors of a prediction that the metrics need, without a graph."""
        if isinstance(prediction, Tensor):
            return [prediction.detach().clone()]
        if not self._given:
            return []
        leaves, form = pytree.tree_flatten(prediction)
        for leaf in leaves:
            if not isinstance(leaf, Tensor) and _hides_tasks(leaf, set()):
                raise RuntimeError(f"a prediction of type {type(leaf).__name__} hides its tensors")
        self._form = form, [_TENSOR if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        return [leaf.detach().clone() for leaf in leaves if isinstance(leaf, Tensor)]

    def of(self, needed: list[Tensor], target: Tensor, losses: Tensor) -> dict[str, Tensor]:
        """Each metric for each task, ``{name: [tasks]}``, of tensors with the tasks in front."""
        with torch.no_grad():
            if self._given:
                return self._by_task(needed, target)
            if needed:
                dim = class_dim(needed[0].shape[1:], target[0], self._loss)
                if dim is not None:
                    return {"accuracy": accuracy(needed[0], target, dim + 1, self._loss)}
            return {"mse" if is_mse(self._loss) else "loss": losses.detach()}

    def _by_task(self, needed: list[Tensor], target: Tensor) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {name: [] for name in self._given}
        for number, name in product(range(len(target)), self._given):
            # A metric may change what it is given.
            prediction = self._whole([tensor[number].clone() for tensor in needed])
            value = _value(name, self._given[name], prediction, target[number].clone())
            found[name].append(torch.as_tensor(value, device=target.device).float())
        return {name: torch.stack(values) for name, values in found.items()}

    def _whole(self, tensors: list[Tensor]) -> Any:
        if self._form is None:
            return tensors[0]
        form, others = self._form
        left = iter(tensors)
        leaves = [next(left) if other is _TENSOR else other for other in others]
        return pytree.tree_unflatten(leaves, form)


class Unmeasured(Metrics):
    """Hands on what metrics need, for them to be computed outside of a compiled function."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics._loss)

    def of(self, needed: list[Tensor], *_: Tensor) -> dict[str, Tensor]:
        """The tensors themselves, by their numbers."""
        return {str(number): tensor for number, tensor in enumerate(needed)}


class WithPredictions(Metrics):
    """Hands on predictions beside the metrics, where they are numbers for classes."""

    NAME = "<predictions>"

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics._loss, metrics._given or None)
        self._metrics = metrics

    def of(self, needed: list[Tensor], target: Tensor, losses: Tensor) -> dict[str, Tensor]:
        """The metrics, and ``[tasks, examples, ways]`` under `NAME`."""
        found = self._metrics.of(needed, target, losses)
        of_classes = len(needed) == 1 and needed[0].dim() == 3
        if of_classes and class_dim(needed[0].shape[1:], target[0], self._loss) is not None:
            return {**found, self.NAME: needed[0]}
        return found


def _hides_tasks(value: object, seen: set[int]) -> bool:
    """Whether in an object, or in what it holds, there is a tensor of several tasks."""
    if isinstance(value, Tensor):
        return is_batchedtensor(value)
    if id(value) in seen or isinstance(value, (type, ModuleType)):
        return False
    seen.add(id(value))
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [*getattr(value, "__dict__", {}).values(), *(getattr(value, n, None) for n in slots)]
    return any(_hides_tasks(inner, seen) for inner in pytree.tree_leaves(held))


_TENSOR = Ellipsis  # stands, in the form of a prediction, where it has a tensor


def _value(name: str, metric: Metric, prediction: Any, target: Tensor) -> Any:
    try:
        value = metric(prediction, target)
        number = isinstance(value, Tensor) and value.numel() == 1
        return value.detach().reshape(()) if number else float(value)
    except Exception as error:
        let_out_of_memory_through(error)
        raise InputError(
            f"metric {name!r} does not make a number of a prediction of {_shape(prediction)} and "
            f"targets of {list(target.shape)} ({type(error).__name__}: {first_line(error)})"
        ) from error


def accuracy(prediction: Tensor, target: Tensor, dim: int, loss: object = None) -> Tensor:
    """The share of right labels in each task, ``[tasks]``; ``dim`` is that of the classes.

    The ``ignore_index`` of the loss does not count; where there is no other label, the accuracy
    is NaN, as the loss is.
    """
    counted = (target != ignored_label(loss)).flatten(1)
    right = (prediction.argmax(dim) == target).flatten(1) & counted
    return right.float().sum(1) / counted.float().sum(1)


def class_dim(prediction: torch.Size, target: Tensor, loss: object) -> int | None:
    """The dimension of one task's prediction that has a number for each class, if any."""
    if target.is_floating_point() or target.is_complex() or target.dtype is torch.bool:
        return None
    if len(prediction) != target.dim() + 1 or target.dim() < 1:
        return None
    second = prediction[1] > 1 and (prediction[0], *prediction[2:]) == target.shape
    last = prediction[-1] > 1 and prediction[:-1] == target.shape
    if is_of_classes(loss) or len(prediction) == 2:
        return 1 if second else None  # where PyTorch's own losses of classes have them
    if second == last:
        return None
    return 1 if second else len(prediction) - 1


def is_of_classes(loss: object) -> bool:
    """Whether a loss is PyTorch's cross-entropy or negative log-likelihood, however given."""
    loss = unwrapped(loss)
    return loss in (F.cross_entropy, F.nll_loss) or isinstance(
        loss, nn.CrossEntropyLoss | nn.NLLLoss
    )


def is_mse(loss: object) -> bool:
    """Whether a loss is PyTorch's mean squared error."""
    return unwrapped(loss) is F.mse_loss or isinstance(loss, nn.MSELoss)


def ignored_label(loss: object) -> int:
    """The label of targets that do not count in a loss."""
    if isinstance(loss, partial):
        return int(loss.keywords.get("ignore_index", ignored_label(loss.func)))
    # The label that PyTorch's losses leave out unless told otherwise.
    return int(getattr(loss, "ignore_index", -100))


def _shape(prediction: Any) -> str:
    if isinstance(prediction, Tensor):
        return f"shape {list(prediction.shape)}"
    return f"type {type(prediction).__name__}"
