"""ProtoMAML (Triantafillou et al. 2020, arXiv 1903.03096, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.functional import Norm, Params, pure_call
from fewstep.inner import InnerLoop, Slope, leaves
from fewstep.kernels.fuse import fused
from fewstep.learners.checks import FitCheck, check_choice
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.heads import last_linear, with_layer, with_new_linear
from fewstep.learners.prototypes import check_classes, number_of_classes, prototypes
from fewstep.metagrad import Gradient, Judge, Memory, Order, through_inner_loop
from fewstep.plans import Execution
from fewstep.precision import Precision, autocast
from fewstep.problem import Problem
from fewstep.randomness import undisturbed
from fewstep.tasks import TaskBatch

_COEFFICIENTS = "prototype coefficients"
"""A variable z beside the parameters. The gradient of <z, prototypes> with respect to it is the
prototypes, so they come by the same way as every inner gradient, with their own derivative."""


class ProtoMAML(GradientBased):
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
            loss=F.cross_entropy,
            execution=execution,
            precision=precision,
            norm=norm,
        )
        check_choice("order", order, get_args(Order))
        check_choice("memory", memory, get_args(Memory))
        self.order: Order = order
        self.memory: Memory = memory
        self.head = last_linear(model)
        if not dict(self.named_parameters()):
            raise InputError(
                f"no parameter outside the last layer {self.head!r} requires a gradient; leave at "
                "least one to be learned"
            )

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All but those of the last layer, which each task makes anew."""
        return ((n, p) for n, p in super().named_parameters() if not self._of_head(n))

    def problem(self, model: nn.Module, norm: Norm, *, training: bool = False) -> Problem:
        """As `GradientBased.problem`, and the prototypes are the gradient of the coefficients."""
        whole = super().problem(model, norm, training=training)
        body = {name: value for name, value in whole.start.items() if not self._of_head(name)}
        embedding = fused(with_layer(model, self.head, nn.Identity()))
        layer = model.get_submodule(self.head)
        assert isinstance(layer, nn.Linear)

        def support_loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
            if _COEFFICIENTS not in params:
                return whole.support_loss(params, x, y)
            with autocast(self.precision, x.device):
                features = self._features(embedding, {n: params[n] for n in body}, x, layer)
            centres = prototypes(features, y, layer.out_features)
            return (params[_COEFFICIENTS] * centres).sum()

        learned = {**body, _COEFFICIENTS: torch.zeros_like(layer.weight)}
        return replace(whole, support_loss=support_loss, learned=learned)

    def _gradient(self, outer_step: int) -> partial[Gradient]:
        inner = through_inner_loop(self.order, self.memory)
        return partial(through_prototypes, self._loop, inner=inner, head=self.head)

    def _needs_second_derivative(self, outer_step: int) -> bool:
        return self.order == "exact" and self.inner_steps > 0

    @property
    def _loop(self) -> InnerLoop:
        body = [name for name, _ in self.named_parameters()]
        return replace(super()._loop, adapting=(*body, *_names(self.head)))

    def _path(self, slope: Slope, learned: Params, steps: int) -> list[Params]:
        return super()._path(slope, _with_head(slope, leaves(learned), self.head), steps)

    def _fitting(self, tasks: TaskBatch) -> nn.Module:
        """A copy of the model with an output a class of the tasks, which have been checked."""
        ways = number_of_classes(tasks.support_y)
        with undisturbed(tasks.support_x.device):
            model = with_new_linear(self.model, self.head, ways)
        FitCheck(self.loss)(model, tasks)
        check_classes(tasks.support_y, ways)
        return model

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
    loop: InnerLoop,
    slope: Slope,
    judge: Judge,
    learned: Params,
    inner: Callable[..., Gradient],
    head: str,
) -> Gradient:
    """The gradient through the inner loop, and through the last layer that it starts from.

    Args:
        loop: The inner loop.
        slope: The gradient of the support loss, and the prototypes.
        judge: The query losses and scores.
        learned: theta without the last layer, and the coefficients.
        inner: The gradient through the inner loop, of (loop, slope, judge, theta).
        head: Name of the last layer.
    """
    start = leaves(learned)
    whole = _with_head(slope, start, head)
    judgement, gradient = inner(loop, slope, judge, whole)
    body = {name: value for name, value in start.items() if name in whole}
    through = torch.autograd.grad(
        [whole[name] for name in _names(head)],
        list(body.values()),
        [gradient[name] for name in _names(head)],
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
    made = (2 * centres, -(centres**2).sum(-1))
    return {**body, **dict(zip(_names(head), made, strict=True))}


def _names(head: str) -> tuple[str, str]:
    return f"{head}.weight", f"{head}.bias"
