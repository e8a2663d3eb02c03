"""ProtoMAML (Triantafillou et al. 2020, arXiv 1903.03096, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from fewstep.engine import MetaGradient, judge_paths, mean_gradient
from fewstep.errors import InputError
from fewstep.functional import Norm, Params, pure_call, without_dropout
from fewstep.inner import InnerLoop, Slope, adapted_path, leaves
from fewstep.kernels.fuse import fused
from fewstep.learners.checks import (
    FitCheck,
    check_at_least_zero,
    check_choice,
    check_twice_differentiable,
)
from fewstep.learners.heads import last_linear, with_layer, with_new_linear
from fewstep.learners.learner import Evaluation
from fewstep.learners.maml import MAML
from fewstep.learners.prototypes import check_classes, number_of_classes, prototypes
from fewstep.metagrad import Gradient, Judge, Memory, Order, replayed, unrolled
from fewstep.plans import Execution
from fewstep.precision import Precision, autocast, multiplying_in
from fewstep.problem import Problem
from fewstep.randomness import undisturbed
from fewstep.tasks import TaskBatch

_COEFFICIENTS = "prototype coefficients"
"""A variable z beside the parameters. The gradient of <z, prototypes> with respect to it is the
prototypes, so they come by the same way as every inner gradient, with their own derivative."""


class ProtoMAML(MAML):
    """MAML whose last layer starts, in each task, from the prototypes of the task.

    The last ``nn.Linear`` gets the weight 2 c_k and the bias -|c_k|^2 for class k, with c_k the
    mean of the class's support examples as that layer sees them: before the first inner step the
    model classifies as a prototypical network does. Then all of it takes inner steps. The number
    of classes is that of the labels, whatever the model's own last layer.

    Args:
        model: A classifier whose last layer is an ``nn.Linear``. That layer is not learned.
        inner_lr: As in `MAML`.
        inner_steps: As in `MAML`.
        order: As in `MAML`. The derivative through the prototypes is always taken.
        memory: As in `MAML`.
        execution: As in `MAML`.
        precision: As in `MAML`.
        norm: As in `MAML`.

    Raises:
        InputError: The model has no linear layer inside or nothing else to learn, or a setting is
            out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.1,
        inner_steps: int = 1,
        *,
        order: Order = "exact",
        memory: Memory = "fast",
        execution: Execution = "auto",
        precision: Precision = "float32",
        norm: Norm = "transductive",
    ) -> None:
        super().__init__(
            model,
            inner_lr,
            inner_steps,
            order=order,
            memory=memory,
            execution=execution,
            precision=precision,
            norm=norm,
        )
        self.head = last_linear(model)
        if not dict(self.named_parameters()):
            raise InputError(
                f"no parameter outside the last layer {self.head!r} requires a gradient; leave at "
                "least one to be learned"
            )

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All but those of the last layer, which each task makes anew."""
        return ((n, p) for n, p in super().named_parameters() if not self._of_head(n))

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """As `MAML.differentiate`, with the derivative through the prototypes."""
        model = self._fitting(tasks)
        problem = self._prototypical(model, self.norm)
        if self.order == "exact" and self.inner_steps and not self._twice_differentiable:
            check_twice_differentiable(self.problem(model, self.norm), tasks)
            self._twice_differentiable = True
        inner: Callable[..., Gradient] = partial(unrolled, order=self.order)
        if self.memory == "flat" and self.order == "exact":
            inner = replayed
        steps, lr = self.inner_steps, self.inner_lr
        gradient = partial(through_prototypes, inner=inner, head=self.head, steps=steps, lr=lr)
        with multiplying_in(self.precision):
            return mean_gradient(problem, tasks, self._planner.at_once(problem, tasks), gradient)

    def evaluate(self, tasks: TaskBatch, steps: int, norm: Norm | None = None) -> Evaluation:
        """As `MAML.evaluate`; before the first inner step the last layer is the prototypes'."""
        check_at_least_zero("steps", steps)
        if norm is not None:
            check_choice("norm", norm, get_args(Norm))
        model = without_dropout(self._fitting(tasks))
        problem = self._prototypical(model, norm or self.norm)

        def path(slope: Slope, start: Params) -> list[Params]:
            whole = _with_head(slope, leaves(start), self.head)
            return adapted_path(InnerLoop(steps, self.inner_lr, tuple(whole)), slope, whole, steps)

        with multiplying_in(self.precision):
            judgements = judge_paths(problem, tasks, self._planner.at_once(problem, tasks), path)
        losses = torch.stack([judgement.losses for judgement in judgements], 1)
        return Evaluation(losses, torch.stack([judgement.scores for judgement in judgements], 1))

    def adapt(self, x: Tensor, y: Tensor, steps: int | None = None) -> nn.Module:
        """As `MAML.adapt`; the module's last layer has as many outputs as there are classes."""
        steps = self.inner_steps if steps is None else steps
        model = self._fitting(TaskBatch(x[None], y[None], x[None], y[None]))
        layer = model.get_submodule(self.head)
        assert isinstance(layer, nn.Linear)
        with torch.no_grad(), autocast(self.precision, x.device):
            features = self._features(without_dropout(self._embedding(model)), {}, x, layer)
            centres = prototypes(features, y, layer.out_features)
            layer.weight.copy_(2 * centres)
            layer.bias.copy_(-(centres**2).sum(-1))
        maml = MAML(model, self.inner_lr, precision=self.precision, norm=self.norm)
        return maml.adapt(x, y, steps)

    def _fitting(self, tasks: TaskBatch) -> nn.Module:
        """A copy of the model with an output a class of the tasks, which have been checked."""
        ways = number_of_classes(tasks.support_y)
        with undisturbed(tasks.support_x.device):
            model = with_new_linear(self.model, self.head, ways)
        FitCheck(self.loss)(model, tasks)
        check_classes(tasks.support_y, ways)
        return model

    def _prototypical(self, model: nn.Module, norm: Norm) -> Problem:
        """As `problem`, with the prototypes as the gradient of the coefficients at the start."""
        whole = self.problem(model, norm)
        body = {name: value for name, value in whole.start.items() if not self._of_head(name)}
        embedding = fused(self._embedding(model))
        layer = model.get_submodule(self.head)
        assert isinstance(layer, nn.Linear)

        def support_loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
            if _COEFFICIENTS not in params:
                return whole.support_loss(params, x, y)
            with autocast(self.precision, x.device):
                features = self._features(embedding, {n: params[n] for n in body}, x, layer)
            centres = prototypes(features, y, layer.out_features)
            return (params[_COEFFICIENTS] * centres).sum()

        def judge(params: Params, *examples: Tensor) -> tuple[Tensor, ...]:
            return whole.judge({n: p for n, p in params.items() if n != _COEFFICIENTS}, *examples)

        start = {**body, _COEFFICIENTS: torch.zeros_like(layer.weight)}
        return replace(whole, support_loss=support_loss, judge=judge, start=start, learned=None)

    def _embedding(self, model: nn.Module) -> nn.Module:
        return with_layer(model, self.head, nn.Identity())

    @staticmethod
    def _features(embedding: nn.Module, params: Params, x: Tensor, layer: nn.Linear) -> Tensor:
        features: Tensor = pure_call(embedding, params, x)
        if features.shape != (len(x), layer.in_features):
            raise InputError(
                f"without its last linear layer the model gives {list(features.shape)}; prototypes "
                f"need [examples, {layer.in_features}]: flatten before that layer, and let nothing "
                "follow it"
            )
        return features.to(layer.weight.dtype)

    def _of_head(self, name: str) -> bool:
        return name.startswith(f"{self.head}.")


def through_prototypes(
    slope: Slope,
    judge: Judge,
    params: Params,
    inner: Callable[..., Gradient],
    head: str,
    steps: int,
    lr: float,
) -> Gradient:
    """The gradient through the inner loop, and through the last layer that it starts from.

    Args:
        slope: The gradient of the support loss, and the prototypes.
        judge: The query losses and scores.
        params: theta without the last layer, and the coefficients.
        inner: The gradient through the inner loop, of (loop, slope, judge, theta).
        head: Name of the last layer.
        steps: How many inner steps.
        lr: alpha, the inner learning rate.
    """
    start = leaves(params)
    whole = _with_head(slope, start, head)
    loop = InnerLoop(steps, lr, tuple(whole))
    judgement, gradient = inner(loop, slope, judge, whole)
    body = {name: value for name, value in start.items() if name in whole}
    made = [name for name in whole if name not in body]
    through = torch.autograd.grad(
        [whole[name] for name in made],
        list(body.values()),
        [gradient[name] for name in made],
        materialize_grads=True,
    )
    return Gradient(
        judgement,
        {name: gradient[name] + part for name, part in zip(body, through, strict=True)},
    )


def _with_head(slope: Slope, start: Params, head: str) -> Params:
    """All parameters at the start of the inner loop, the last layer's made of the others."""
    centres = slope(start, 0, True, [_COEFFICIENTS])[_COEFFICIENTS]
    body = {name: value for name, value in start.items() if name != _COEFFICIENTS}
    return {**body, f"{head}.weight": 2 * centres, f"{head}.bias": -(centres**2).sum(-1)}
