"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine 2017, arXiv 1703.03400)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.engine import Execution, MetaGradient, Problem, judge_paths, mean_gradient
from fewstep.errors import InputError
from fewstep.functional import (
    Norm,
    Params,
    check_running_statistics,
    inductive_call,
    pure_call,
    trainable,
    without_dropout,
)
from fewstep.inner import adapt
from fewstep.learners.adapted import adapted_module
from fewstep.learners.learner import Evaluation, score
from fewstep.metagrad import Gradient, Memory, Order, replayed, unrolled
from fewstep.tasks import TaskBatch

Loss = Callable[[Any, Tensor], Tensor]


class MAML:
    """Learns an initialisation that adapts in a few gradient steps.

    The parameters of ``model`` are the initialisation. No method changes them; the outer loop
    does, with any optimiser of ``torch.optim`` over `parameters`.

    Args:
        model: Any module that maps ``[examples, ...]`` to predictions. Parameters that do not
            require a gradient stay fixed.
        inner_lr: alpha, the step size of the inner loop.
        inner_steps: How many inner steps.
        loss: Maps (prediction, target) to a scalar.
        order: ``"exact"`` differentiates through the inner gradient; ``"first"`` drops that
            derivative (first-order MAML).
        memory: ``"fast"`` keeps the graph of every inner step; ``"flat"`` computes the same
            gradient in the memory of one inner step, for more time.
        execution: ``"loop"`` computes the tasks of a meta-batch one after another;
            ``"vectorised"`` all at once, which suits small networks without random layers.
        norm: What batch norm in training mode uses when the query set is judged: the query
            batch's own statistics (``"transductive"``, as in the paper) or the support set's
            (``"inductive"``).

    Raises:
        InputError: A setting is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.1,
        inner_steps: int = 1,
        *,
        loss: Loss = F.cross_entropy,
        order: Order = "exact",
        memory: Memory = "fast",
        execution: Execution = "loop",
        norm: Norm = "transductive",
    ) -> None:
        _check_choice("order", order, ("exact", "first"))
        _check_choice("memory", memory, ("fast", "flat"))
        _check_choice("execution", execution, ("loop", "vectorised"))
        _check_choice("norm", norm, ("transductive", "inductive"))
        if inner_steps < 0:
            raise InputError(f"inner_steps is {inner_steps}; expected 0 or more")
        if not trainable(model):
            raise InputError(
                "no parameter of the model requires a gradient; leave at least one to be learned"
            )
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.loss = loss
        self.order: Order = order
        self.memory: Memory = memory
        self.execution: Execution = execution
        self.norm: Norm = norm

    def parameters(self) -> Iterator[nn.Parameter]:
        """The initialisation: what the outer optimiser changes."""
        return (parameter for _, parameter in self.named_parameters())

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The initialisation, with the names that `meta_gradient` uses."""
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)

    def meta_gradient(self, tasks: TaskBatch) -> tuple[Tensor, Params]:
        """The mean query loss after adaptation and its gradient (Algorithm 1, line 8).

        Args:
            tasks: The meta-batch.

        Returns:
            The loss, a scalar without a graph, and ``{parameter name: gradient}``, each of the
            parameter's shape.

        Raises:
            InputError: The tasks do not fit the model or the loss.
        """
        result = self.differentiate(tasks)
        return result.judgement.losses.mean(), result.gradient

    def differentiate(self, tasks: TaskBatch) -> MetaGradient:
        """As `meta_gradient`, with the loss and the score of each task."""
        self._check(tasks)
        gradient: Callable[..., Gradient] = partial(unrolled, order=self.order)
        if self.memory == "flat" and self.order == "exact":
            gradient = replayed
        gradient = partial(gradient, steps=self.inner_steps, lr=self.inner_lr)
        problem = self._problem(self.model, self.norm)
        return mean_gradient(problem, tasks, self.execution, gradient)

    def evaluate(self, tasks: TaskBatch, steps: int, norm: Norm | None = None) -> Evaluation:
        """Adapt to each task and judge it after every inner step. Nothing is learned.

        Dropout is off, and no graph outlives an inner step.

        Args:
            tasks: The tasks.
            steps: How many inner steps; may be more than in training.
            norm: Overrides the learner's own.
        """
        self._check(tasks)
        problem = self._problem(without_dropout(self.model), norm or self.norm)
        path = partial(adapt, steps=steps, lr=self.inner_lr)
        judgements = judge_paths(problem, tasks, self.execution, path)
        losses, scores = (torch.stack(column, 1) for column in zip(*judgements, strict=True))
        return Evaluation(losses, scores)

    def adapt(self, x: Tensor, y: Tensor, steps: int | None = None) -> nn.Module:
        """The model adapted to one task.

        Args:
            x: ``[examples, ...]``, the support set.
            y: ``[examples, ...]``, its targets.
            steps: How many inner steps; the learner's own number unless given.

        Returns:
            A copy of the model in eval mode, ready to call. Its batch norm keeps to the
            learner's ``norm``: the statistics of the batch it is called with, or of ``x``.

        Raises:
            InputError: The examples do not fit the model or the loss.
        """
        self._check(TaskBatch(x[None], y[None], x[None], y[None]))
        model = without_dropout(self.model)
        problem = self._problem(model, self.norm)
        path = adapt(
            lambda params, _: problem.support_loss(params, x, y),
            problem.start,
            self.inner_steps if steps is None else steps,
            self.inner_lr,
        )
        return adapted_module(model, path[-1], x, self.norm)

    def _problem(self, model: nn.Module, norm: Norm) -> Problem:
        """Support loss and judgement of one task, as pure functions."""

        def support_loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
            return self._scalar_loss(pure_call(model, params, x), y)

        def judge(
            params: Params, support_x: Tensor, query_x: Tensor, query_y: Tensor
        ) -> tuple[Tensor, Tensor]:
            if norm == "inductive":
                prediction = inductive_call(model, params, support_x, query_x)
            else:
                prediction = pure_call(model, params, query_x)
            loss = self._scalar_loss(prediction, query_y)
            return loss, score(prediction, query_y, loss)

        return Problem(support_loss, judge, trainable(model), self.inner_steps)

    def _scalar_loss(self, prediction: Any, target: Tensor) -> Tensor:
        value = self.loss(prediction, target)
        if not isinstance(value, Tensor) or value.dim() != 0:
            shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise InputError(f"the loss returned {shape}; expected a tensor with a single value")
        return value

    def _check(self, tasks: TaskBatch) -> None:
        """See that the tasks fit the model, by a prediction for the first of them."""
        check_running_statistics(self.model)
        x = tasks.support_x[0]
        try:
            with torch.no_grad():
                prediction = pure_call(self.model, {}, x)
        except RuntimeError as error:
            reason = str(error).split("\n")[0]
            raise InputError(
                f"the model does not take support examples of shape {list(x.shape)} ({reason})"
            ) from error
        if self.loss is F.cross_entropy:
            for y in (tasks.support_y, tasks.query_y):
                _check_labels(prediction, y)


def _check_choice(name: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise InputError(f"{name} is {given!r}; expected one of {', '.join(choices)}")


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
