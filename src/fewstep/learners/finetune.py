"""Pre-training and fine-tuning: what meta-learning is compared with.

The network learns to tell all training classes apart, in the ordinary way. For a new task its last
layer is replaced, and the whole network, or the new layer alone, is trained on the support set by
gradient descent. Where the targets mean the same in all tasks, as in a regression, it learns the
examples of all tasks together and keeps its last layer: before any inner step it is the pooled
network.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from fewstep.choices import Execution, Norm
from fewstep.choices import NewHead as Head
from fewstep.errors import InputError
from fewstep.execution.executor import MetaGradient
from fewstep.functional.call import call_model
from fewstep.learners.base import Evaluation, Learner
from fewstep.learners.checks import (
    Loss,
    check_at_least_zero,
    check_choice,
    check_labels,
    check_module,
    scalar,
)
from fewstep.learners.gradient_based import Settings
from fewstep.learners.heads import last_linear, new_linear, with_layer
from fewstep.learners.maml import MAML
from fewstep.learners.traits import FitCheck
from fewstep.learners.untraced import untraced
from fewstep.metagrad.metrics import Metric, Metrics
from fewstep.metagrad.objective import QueryResult
from fewstep.runtime.modes import exclusive
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import Inputs, TaskBatch, map_tensors
from fewstep.whole_numbers import check_whole

Adapts = Literal["whole", "head"]


class FineTune(Learner):
    """Ordinary training on all training classes; a new last layer for the tasks.

    Every task starts from the same new layer. In a regression, and where all tasks have the same
    classes, the last layer is kept.

    Args:
        model: A network whose last layer is an ``nn.Linear`` with one output a way. Any network
            where the last layer is kept; its parameters are then those that are learned.
        classes: How many training classes there are; None where the last layer is kept.
        new_head: What the new last layer of a task starts from: as ``nn.Linear`` makes it
            (``"random"``, the ordinary practice), or ``"zeros"``, which favours no class, so that
            the first step compares each picture with the mean of each class.
        adapts: What is fine-tuned on a task: the ``"whole"`` network, or the new last layer, the
            ``"head"``, alone.
        inner_lr: Step size of fine-tuning.
        inner_steps: Steps of fine-tuning.
        execution: How several tasks are fine-tuned, as in `MAML`.
        norm: Which statistics batch norm uses on the query set, as in `MAML`.
        loss: Where the last layer is kept, as in `MAML`; with classes it is the cross-entropy.
        metrics: As in `MAML`; in training they are of the training classes, too.

    Raises:
        InputError: The model has no linear layer to replace, or a setting is out of range.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> tasks = fewstep.TaskBatch(x, y, x, y, classes=torch.randint(10, (8, 3)))
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> learner = fewstep.FineTune(model, classes=10)
    >>> learner(tasks).backward()
    >>> learner.evaluate(tasks).scores.shape
    torch.Size([8, 6])
    >>> pooled = fewstep.FineTune(torch.nn.Linear(4, 1), loss="mse", inner_lr=0.01)
    >>> pooled(fewstep.TaskBatch(x, x[..., :1], x, x[..., :1])).backward()
    """

    _PREFIXES: ClassVar[dict[str, str]] = {"wide": "", "_new_layer": "new_head."}
    # Batch norm sees the examples of all tasks at once.
    tasks_are_independent: ClassVar[bool] = False
    loss: Loss
    metrics: Mapping[str, Metric] | None
    head: str
    _new_layer: nn.Linear

    def __init__(
        self,
        model: nn.Module,
        classes: int | None = None,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        *,
        new_head: Head = "random",
        adapts: Adapts = "whole",
        execution: Execution = "auto",
        norm: Norm = "transductive",
        loss: Loss | str = F.cross_entropy,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__()
        check_choice("new_head", new_head, Head)
        check_choice("adapts", adapts, Adapts)
        settings = Settings(loss, metrics, execution, "float32", norm)
        # Not by setattr, which would make another part of a loss that is a module.
        vars(self).update(loss=settings.loss, metrics=metrics)
        Metrics(self.loss, metrics)
        self.inner_lr = check_at_least_zero("inner_lr", inner_lr)
        self.inner_steps = check_whole("inner_steps", inner_steps)
        self.classes = None if classes is None else check_whole("classes", classes, 2)
        if self.classes is None:
            self._keep_head(model, new_head)
        else:
            self._replace_head(model, self.classes, new_head)
        self.new_head: Head = new_head
        self.adapts: Adapts = adapts
        self.execution: Execution = execution
        self.norm: Norm = norm
        self._check_fit = FitCheck(self.loss)

    def _keep_head(self, model: nn.Module, new_head: Head) -> None:
        if new_head != "random":
            raise InputError(
                f"new_head is {new_head!r} without classes, where the last layer is kept; leave "
                "new_head out, or say how many training classes there are"
            )
        check_module(model, self.loss)
        self.wide = model

    def _replace_head(self, model: nn.Module, classes: int, new_head: Head) -> None:
        if self.loss is not F.cross_entropy:
            raise InputError(
                "a loss is given with classes, which are told apart by cross-entropy; leave "
                "classes out where targets mean the same in all tasks"
            )
        self.head = last_linear(model)
        self._new_layer = new_linear(model, self.head)
        self.wide = with_layer(model, self.head, new_linear(model, self.head, classes))
        if new_head == "zeros":
            for parameter in self._new_layer.parameters():
                nn.init.zeros_(parameter)

    def meta_parameters(self) -> dict[str, nn.Parameter]:
        """Those of the network with one output a training class that require a gradient."""
        return {n: p for n, p in self.named("wide").items() if p.requires_grad}

    @untraced
    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """The gradient of ordinary training on all examples of the tasks at once.

        The ``classes`` of the tasks say which class of the data set each label stands for, where
        the last layer is not kept.
        """
        with exclusive():
            losses, metrics = self._ordinary_training(tasks)
            names, parameters = zip(*self.meta_parameters().items(), strict=True)
            gradients = torch.autograd.grad(losses.mean(), parameters, materialize_grads=True)
        query = QueryResult(losses.detach(), metrics)
        return MetaGradient(query, dict(zip(names, gradients, strict=True)))

    @untraced
    def query_losses(self, tasks: TaskBatch, outer_step: int = 0) -> Tensor:
        with exclusive(), torch.no_grad():
            return self._ordinary_training(tasks)[0]

    def _ordinary_training(self, tasks: TaskBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and the metrics of each task's examples, support and query sets together."""
        support_y, query_y = tasks.support_y, tasks.query_y
        if self.classes is not None:
            support_y, query_y = _classes_of(tasks, support_y), _classes_of(tasks, query_y)
        named = replace(tasks, support_y=support_y, query_y=query_y, classes=None)
        self._check_fit(self.wide, named)
        own = tasks.own_examples if tasks.is_uneven else None
        x = map_tensors(
            lambda *both: _examples(torch.cat(both, 1), own), tasks.support_x, tasks.query_x
        )
        y = _examples(torch.cat([support_y, query_y], 1), own)
        many = [support_y.shape[1] + query_y.shape[1]] * len(tasks)
        return self._by_task(
            call_model(self.wide, x), y, many if own is None else own.sum(1).tolist()
        )

    def _by_task(
        self, prediction: Any, y: Tensor, sizes: list[int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and the metrics of each task, which has so many of the examples."""
        parts = list(zip(_split(prediction, sizes), torch.split(y, sizes), strict=True))
        losses = torch.stack([scalar(self.loss(found, target)) for found, target in parts])
        told = Metrics(self.loss, self.metrics)
        rows = [
            told.of([t[None] for t in told.needed(found)], target[None], loss[None])
            for (found, target), loss in zip(parts, losses, strict=True)
        ]
        return losses, {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    @untraced
    def evaluate(
        self, tasks: TaskBatch, steps: int | None = None, norm: Norm | None = None
    ) -> Evaluation:
        return self.few_shot().evaluate(tasks, steps, norm)

    @untraced
    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        return self.few_shot().adapt(x, y, steps, norm)

    def head_only(self) -> "FineTune":
        """The same network and new last layer, fine-tuned on a task in that layer alone."""
        other = copy.copy(self)
        other.adapts = "head"
        return other

    @property
    def ways(self) -> int:
        """How many classes a task has, where the last layer is not kept."""
        return len(self._new_layer.weight)

    @exclusive()
    def for_ways(self, n_way: int) -> "FineTune":
        """A copy for tasks of so many classes; their new layer is the same every time."""
        other = copy.deepcopy(self)
        with preserve_rng_state():
            torch.manual_seed(0)
            layer = new_linear(self.wide, self.head, n_way)
        if self.new_head == "zeros":
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        other._new_layer = layer
        return other

    def variants(self) -> dict[str, Learner]:
        if self.classes is None:
            return {"": self}
        return {"whole": self, "head": self.head_only()}

    @exclusive()
    def few_shot(self) -> MAML:
        """The pre-trained body under the last layer that every task starts from."""
        settings: dict[str, Any] = {"execution": self.execution, "norm": self.norm}
        settings["metrics"] = self.metrics
        if self.classes is None:
            adapting = "all" if self.adapts == "whole" else "head"
            settings |= {"loss": self.loss, "adapting": adapting}
            return MAML(self.wide, self.inner_lr, self.inner_steps, **settings)
        # A copy that is made in inference mode has no gradients ever after.
        with torch.inference_mode(False):
            model = with_layer(self.wide, self.head, copy.deepcopy(self._new_layer))
        if self.adapts == "head":
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith(f"{self.head}."))
        return MAML(model, self.inner_lr, self.inner_steps, **settings)


def _classes_of(tasks: TaskBatch, labels: Tensor) -> Tensor:
    """Which class of the data set each label stands for."""
    if tasks.classes is None:
        raise InputError("the tasks have no classes; pre-training needs TaskBatch(..., classes)")
    if labels.dim() != 2 or labels.dtype != torch.int64:
        raise InputError(
            f"the targets of a task are {list(labels.shape[1:])}, {labels.dtype}; pre-training "
            "needs one label an example, torch.int64"
        )
    check_labels(labels, tasks.classes.shape[1], "each task has")
    return tasks.classes.gather(1, labels)


def _examples(values: Tensor, own: Tensor | None) -> Tensor:
    """All examples of all tasks, ``[examples, ...]``; of those that are padded, the true ones."""
    return values.flatten(0, 1) if own is None else values[own]


def _split(prediction: Any, sizes: list[int]) -> list[Any]:
    """The prediction for the examples of each task, of whatever tensors it is made."""
    leaves, form = pytree.tree_flatten(prediction)
    columns = [torch.split(leaf, sizes) for leaf in leaves]
    return [pytree.tree_unflatten(list(row), form) for row in zip(*columns, strict=True)]
