"""Meta-learning as it fails: NOT how to do it. A switch for each cause, so that each can be undone.

Plain PyTorch, apart from fewstep, as it is often written by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from fewstep.tasks import TaskBatch

Params = dict[str, Tensor]
Moments = dict[str, tuple[Tensor, Tensor]]
BETAS, EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class Setup:
    """One way to train; the defaults are all the causes together.

    Attributes:
        assigned: Adapted weights are assigned into the model, where the query loss does not know
            that they depend on the initialisation: its gradient is first-order, and no error says
            so. Otherwise the gradient is exact.
        inner: The inner optimiser: one Adam for all tasks of the run, a new one for each meta-batch
            whose state its tasks share, a new one for each task, or SGD.
        outer: The outer optimiser: a new Adam for each meta-batch, or one for the whole run.
        queries: Query pictures of each class in training.
        classes: Training characters.
        rotations: Training characters turned by 90, 180 and 270 degrees are classes, too.
    """

    assigned: bool = True
    inner: Literal["Adam a run", "Adam a batch", "Adam a task", "SGD"] = "Adam a batch"
    outer: Literal["new Adam", "Adam"] = "new Adam"
    queries: int = 1
    classes: int = 10
    rotations: bool = False


class InnerOptimiser:
    """SGD, or Adam by hand: `torch.optim.Adam` cannot be differentiated through."""

    def __init__(self, kind: str, lr: float) -> None:
        self.kind, self.lr = kind, lr
        self.moments: Moments = {}
        self.steps = 0

    def start_batch(self) -> None:
        """Forget the tasks before, unless that is the fault."""
        if self.kind != "Adam a run":
            self.moments, self.steps = {}, 0

    def start_task(self) -> None:
        """Forget the task before, unless that is the fault."""
        if self.kind == "Adam a task":
            self.start_batch()

    def step(self, params: Params, gradients: Params) -> Params:
        """The parameters after one step; the state is kept."""
        if self.kind == "SGD":
            return {n: p - self.lr * gradients[n] for n, p in params.items()}
        self.steps += 1
        return {
            name: p - self.lr * self._scaled(name, gradients[name]) for name, p in params.items()
        }

    def _scaled(self, name: str, gradient: Tensor) -> Tensor:
        zero = torch.zeros_like(gradient)
        mean, square = self.moments.get(name, (zero, zero))
        mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * square + (1 - BETAS[1]) * gradient.square()
        self.moments[name] = mean.detach(), square.detach()
        unbiased = mean / (1 - BETAS[0] ** self.steps)
        # A root has no derivative at zero.
        root = (square / (1 - BETAS[1] ** self.steps) + EPSILON**2).sqrt()
        return unbiased / (root + EPSILON)


class Failing:
    """Trains a model by a `Setup`.

    Args:
        model: Its parameters are the initialisation.
        setup: What to do wrong.
        inner_lr: Step size of the inner optimiser.
        outer_lr: Step size of the outer Adam.
    """

    def __init__(self, model: nn.Module, setup: Setup, inner_lr: float, outer_lr: float) -> None:
        self.model, self.setup, self.outer_lr = model, setup, outer_lr
        self.inner = InnerOptimiser(setup.inner, inner_lr)
        self.outer = self._new_outer()

    def outer_step(self, tasks: TaskBatch) -> float:
        """One outer step of one inner step each; returns the mean query loss."""
        loss, gradients = self.meta_gradient(tasks)
        if self.setup.outer == "new Adam":
            self.outer = self._new_outer()
        for name, parameter in self.model.named_parameters():
            parameter.grad = gradients[name]
        self.outer.step()
        return loss

    def meta_gradient(self, tasks: TaskBatch) -> tuple[float, Params]:
        """Mean query loss after one inner step, and what is taken for its gradient."""
        names, start = zip(*self.model.named_parameters(), strict=True)
        losses, gradients = [], []
        self.inner.start_batch()
        for number in range(len(tasks)):
            self.inner.start_task()
            adapted = self._adapted(dict(zip(names, start, strict=True)), tasks, number)
            query = tasks.query_x[number], tasks.query_y[number]
            if self.setup.assigned:
                loss, gradient = self._by_assignment(adapted, *query)
            else:
                loss = F.cross_entropy(functional_call(self.model, adapted, query[0]), query[1])
                gradient = torch.autograd.grad(loss, start)
            losses.append(loss.item())
            gradients.append(gradient)
        means = [torch.stack(column).mean(0) for column in zip(*gradients, strict=True)]
        return sum(losses) / len(losses), dict(zip(names, means, strict=True))

    def _by_assignment(
        self, adapted: Params, x: Tensor, y: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        parameters = dict(self.model.named_parameters())
        before = {name: p.detach().clone() for name, p in parameters.items()}
        _assign(parameters, adapted)
        loss = F.cross_entropy(self.model(x), y)
        gradient = torch.autograd.grad(loss, list(parameters.values()))
        _assign(parameters, before)
        return loss, gradient

    def _adapted(self, params: Params, tasks: TaskBatch, number: int) -> Params:
        prediction = functional_call(self.model, params, tasks.support_x[number])
        loss = F.cross_entropy(prediction, tasks.support_y[number])
        gradients = torch.autograd.grad(
            loss, list(params.values()), create_graph=not self.setup.assigned
        )
        return self.inner.step(params, dict(zip(params, gradients, strict=True)))

    def validate(
        self, tasks: TaskBatch, steps: int, together: int
    ) -> tuple[list[float], list[float]]:
        """Mean query loss and accuracy after 0, 1, ... inner steps; nothing is changed by it.

        Args:
            tasks: The tasks.
            steps: How many inner steps.
            together: How many tasks are a batch, as in training.
        """
        kept = dict(self.inner.moments), self.inner.steps
        losses = torch.zeros(len(tasks), steps + 1)
        right = torch.zeros_like(losses)
        for number in range(len(tasks)):
            if number % together == 0:
                self.inner.start_batch()
            self.inner.start_task()
            params = dict(self.model.named_parameters())
            for step in range(steps + 1):
                if step:
                    adapted = self._adapted(params, tasks, number)
                    params = {n: p.detach().requires_grad_() for n, p in adapted.items()}
                with torch.no_grad():
                    prediction = functional_call(self.model, params, tasks.query_x[number])
                target = tasks.query_y[number]
                losses[number, step] = F.cross_entropy(prediction, target)
                right[number, step] = (prediction.argmax(1) == target).float().mean()
        self.inner.moments, self.inner.steps = kept
        return losses.mean(0).tolist(), right.mean(0).tolist()

    def _new_outer(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.model.parameters(), lr=self.outer_lr)


def _assign(parameters: dict[str, nn.Parameter], values: Params) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
