"""Tasks of different sizes side by side: padding that no loss, gradient or metric sees.

Padding is told by a mark in its targets, so that all ways to compute tasks of one size take such
tasks as they are: the label that a loss of classes ignores anyway, and else NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.functional.structure import has_hooks
from fewstep.metagrad.metrics import Metrics, WithPredictions, ignored_label
from fewstep.tasks import Inputs, TaskBatch, map_tensors

Loss = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Mark:
    """The mark of padding in targets, and a loss that leaves out what has it.

    Attributes:
        value: The mark.
        loss: Of a prediction and a target; that of the other examples alone.
    """

    value: float
    loss: Loss

    def is_in(self, targets: Tensor) -> Tensor:
        """Where targets have the mark, ``bool``."""
        return targets.isnan() if targets.is_floating_point() else targets == self.value


def mark_of(loss: object, target: Tensor) -> Mark | None:
    """Return how to mark padding among such targets for a loss; None for a loss not known.

    >>> mark_of(F.cross_entropy, torch.tensor([0, 1])).value
    -100
    >>> mark_of(lambda p, y: (p - y).square().mean(), torch.tensor([0.0])) is None
    True
    """
    function, arguments = _taken_apart(loss)
    known = _ARGUMENTS.get(function, frozenset())
    if "reduction" not in known or not arguments.keys() <= known:
        return None
    reduction = arguments.pop("reduction", "mean")
    if reduction not in ("mean", "sum"):
        return None
    if function in _OF_CLASSES:
        # Its own arithmetic leaves such labels out, weights and label smoothing included.
        return Mark(ignored_label(loss), loss) if target.dtype is torch.int64 else None  # type: ignore[arg-type]
    if not target.is_floating_point():
        return None
    return Mark(torch.nan, OfOwn(function, tuple(arguments.items()), reduction == "mean"))


@dataclass(frozen=True)
class OfOwn:
    """A loss of numbers that leaves out targets that are NaN.

    Attributes:
        function: Of PyTorch.
        arguments: Further ones, by name.
        mean: Whether it is the mean, or else the sum.
    """

    function: Callable[..., Tensor]
    arguments: tuple[tuple[str, Any], ...]
    mean: bool

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of the other targets."""
        own = target == target
        both = torch.where(own, prediction, 0.0), torch.where(own, target, 0.0)
        total = self.function(*both, reduction="sum", **dict(self.arguments))
        return total / own.sum() if self.mean else total


class OfOwnExamples(Metrics):
    """The same metrics, each given a task's prediction and target without the padding."""

    def __init__(self, metrics: Metrics, mark: Mark) -> None:
        super().__init__(metrics._loss, metrics._given or None)
        self._metrics, self._mark = metrics, mark

    def of(self, needed: list[Tensor], target: Tensor, losses: Tensor) -> dict[str, Tensor]:
        """Each metric for each task; accuracy and loss leave out what is marked by themselves."""
        if not self._given:
            return self._metrics.of(needed, target, losses)
        own = ~self._mark.is_in(target).reshape(*target.shape[:2], -1).any(2)
        parts = [
            self._metrics.of([t[n, None, :size] for t in needed], target[n, None, :size], loss)
            for n, (size, loss) in enumerate(zip(own.sum(1).tolist(), losses[:, None], strict=True))
        ]
        found = {name: torch.cat([part[name] for part in parts]) for name in self._given}
        # Those of padding are left out where all tasks are side by side again.
        name = WithPredictions.NAME
        return found | {name: needed[0]} if name in parts[0] else found


def marked(tasks: TaskBatch, mark: Mark) -> TaskBatch | None:
    """Return tasks of one size, whose padding is marked; None where an own target has the mark."""
    shots = tasks.support_y.shape[1]
    support, query = tasks.own_examples[:, :shots], tasks.own_examples[:, shots:]
    if bool(mark.is_in(tasks.support_y)[support].any() | mark.is_in(tasks.query_y)[query].any()):
        return None
    return TaskBatch(
        *_marked(tasks.support_x, tasks.support_y, support, mark),
        *_marked(tasks.query_x, tasks.query_y, query, mark),
    )


def _marked(x: Inputs, y: Tensor, own: Tensor, mark: Mark) -> tuple[Inputs, Tensor]:
    """The examples up to the last that is a task's own, with copies of the first as padding."""
    length = int(own.sum(1).max())
    own = own[:, :length]

    def alike(tensor: Tensor) -> Tensor:
        places = own.reshape(*own.shape, *[1] * (tensor.dim() - 2))
        # What stood there may be NaN, which times a gradient of zero would be NaN.
        return torch.where(places, tensor[:, :length], tensor[:, :1])

    places = own.reshape(*own.shape, *[1] * (y.dim() - 2))
    return map_tensors(alike, x), y[:, :length].masked_fill(~places, mark.value)


def _taken_apart(loss: object) -> tuple[Any, dict[str, Any]]:
    """The function of PyTorch that a loss calls, and its further arguments; None of others."""
    if isinstance(loss, partial):
        return (None if loss.args else loss.func), dict(loss.keywords)
    if type(loss) not in _MODULES:
        return loss, {}
    assert isinstance(loss, nn.Module)
    function = None if has_hooks(loss) or "forward" in vars(loss) else _MODULES[type(loss)]
    return function, {name: getattr(loss, name) for name in _ARGUMENTS[_MODULES[type(loss)]]}


_OF_CLASSES = {F.cross_entropy, F.nll_loss}
_ARGUMENTS: dict[Any, frozenset[str]] = {
    F.cross_entropy: frozenset({"reduction", "weight", "ignore_index", "label_smoothing"}),
    F.nll_loss: frozenset({"reduction", "weight", "ignore_index"}),
    F.mse_loss: frozenset({"reduction"}),
    F.l1_loss: frozenset({"reduction"}),
    F.smooth_l1_loss: frozenset({"reduction", "beta"}),
    F.huber_loss: frozenset({"reduction", "delta"}),
}
_MODULES: dict[type, Any] = {
    nn.CrossEntropyLoss: F.cross_entropy,
    nn.NLLLoss: F.nll_loss,
    nn.MSELoss: F.mse_loss,
    nn.L1Loss: F.l1_loss,
    nn.SmoothL1Loss: F.smooth_l1_loss,
    nn.HuberLoss: F.huber_loss,
}
