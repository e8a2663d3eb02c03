"""ProtoMAML (Triantafillou et al. 2020, arXiv 1903.03096, section 3)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.choices import Execution, Memory, Norm, Order, Precision
from fewstep.errors import InputError
from fewstep.functional.call import PureModel
from fewstep.functional.layer_modes import LayerModes
from fewstep.functional.swapped import Params
from fewstep.learners.checks import check_tasks
from fewstep.learners.gradient_based import GradientBased, Settings
from fewstep.learners.heads import (
    check_plain,
    last_linear,
    new_linear,
    noting,
    only_features,
    with_layer,
)
from fewstep.learners.traits import Traits
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, as_leaf_tensors
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.objective import EvaluateQuery, Objective
from fewstep.metagrad.unroll import Gradient, GradientRule, ThroughInnerLoop
from fewstep.runtime.modes import autocast
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import Inputs, TaskBatch

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
        inner_lr, inner_steps: As in `MAML`.
        order: As in `MAML`. The derivative through the prototypes is always taken.
        memory, metrics, execution, precision, norm: As in `MAML`.

    Raises:
        InputError: The model has no linear layer inside or nothing else to learn, or a setting is
            out of range.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> tasks = fewstep.TaskBatch(x, y, x, y)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5))
    >>> learner = fewstep.ProtoMAML(model, inner_lr=0.1)
    >>> list(learner.meta_gradient(tasks)[1])
    ['0.weight', '0.bias']
    >>> learner.adapt(x[0], y[0])(x[0]).shape
    torch.Size([6, 3])
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.1,
        inner_steps: int = 1,
        *,
        order: Order = "exact",
        memory: Memory = "fast",
        metrics: Mapping[str, Metric] | None = None,
        execution: Execution = "auto",
        precision: Precision = "float32",
        norm: Norm = "transductive",
    ) -> None:
        settings = Settings(F.cross_entropy, metrics, execution, precision, norm, order, memory)
        super().__init__(model, inner_lr, inner_steps, settings)
        self.head = last_linear(model)
        check_plain(model, self.head)
        if not self.meta_parameters():
            raise InputError(
                f"no parameter outside the last layer {self.head!r} requires a gradient; leave at "
                "least one to be learned"
            )

    def _objective(self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool) -> Objective:
        """With the prototypes as the gradient of the coefficients."""
        plain = super()._objective(tasks, traits, norm, training)
        inputs: list[Tensor] = []
        modes: LayerModes = "own" if training else "evaluation"
        features = self._pure(modes, traits, replaced=self._replaced(inputs.append))
        ways = _number_of_classes(tasks.support_y)
        layer = self._layer

        def support_loss(params: Params, x: Inputs, y: Tensor) -> Tensor:
            if _COEFFICIENTS not in params:
                return plain.support_loss(params, x, y)
            body = {name: value for name, value in params.items() if name != _COEFFICIENTS}
            inputs.clear()
            with (
                autocast(self.precision, y.device),
                features.having(body, fused=True, inputs_repeat=True),
            ):
                features.predict(x)
            centres = prototypes(only_features(inputs, len(y), layer, "ProtoMAML"), y, ways)
            return (params[_COEFFICIENTS] * centres).sum()

        start = plain.learned | self._new_head(ways)
        learned = plain.learned | {_COEFFICIENTS: layer.weight.new_zeros(ways, layer.in_features)}
        return replace(plain, support_loss=support_loss, start=start, learned=learned)

    def _check(self, tasks: TaskBatch, modes: LayerModes, look: bool = True) -> Traits:
        check_tasks(tasks)
        ways = _number_of_classes(tasks.support_y)
        new, replaced = self._new_head(ways), self._replaced()
        traits = self._check_fit(self.model, tasks, modes, new, replaced, look=look)
        _check_classes(tasks.support_y, ways)
        # Padding would have to be left out of the prototypes too.
        return traits._replace(marked=None)

    def _pure(self, modes: LayerModes, traits: Traits, **settings: Any) -> PureModel:
        return super()._pure(modes, traits, **{"replaced": self._replaced(), **settings})

    def _replaced(
        self, note: Callable[[Tensor], None] = lambda _: None
    ) -> dict[str, Callable[[Tensor], Tensor]]:
        """A last layer of any number of classes, with a bias in any case; notes its inputs."""
        return {self.head: noting(self._layer, note)}

    def _new_head(self, ways: int) -> Params:
        """The last layer's parameters for a number of classes, zeros."""
        weight, bias = _names(self.head)
        old = self._layer.weight.detach()
        return {weight: old.new_zeros(ways, old.shape[1]), bias: old.new_zeros(ways)}

    @property
    def _layer(self) -> nn.Linear:
        layer = self.model.get_submodule(self.head)
        assert isinstance(layer, nn.Linear)
        return layer

    def _with_room_for(self, params: Params) -> nn.Module:
        with preserve_rng_state():
            layer = new_linear(self.model, self.head, len(params[_names(self.head)[0]]))
        return with_layer(self.model, self.head, layer)

    def _plain(self) -> dict[str, nn.Parameter]:
        """Without those of the last layer, which each task makes anew."""
        head = f"{self.head}."
        return {name: p for name, p in super()._plain().items() if not name.startswith(head)}

    def _gradient(self, outer_step: int) -> GradientRule:
        counted = self._importances(outer_step)
        inner = ThroughInnerLoop(self._loop, counted, order=self.order, memory=self.memory)
        return ThroughPrototypes(inner, self.head)

    def _needs_second_derivative(self, outer_step: int) -> bool:
        return self.order == "exact" and self.inner_steps > 0

    @property
    def _loop(self) -> InnerLoop:
        body = self.meta_parameters()
        return replace(super()._loop, adapting=(*body, *_names(self.head)))

    def _path(self, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[Params]:
        with torch.enable_grad():
            start = _with_head(grad_fn, as_leaf_tensors(learned), self.head)
        return super()._path(grad_fn, start, steps)


@dataclass(frozen=True)
class ThroughPrototypes:
    """The gradient through the inner loop, and through the last layer that it starts from."""

    inner: ThroughInnerLoop
    head: str

    def __call__(self, grad_fn: GradFn, evaluate_query: EvaluateQuery, learned: Params) -> Gradient:
        """The gradient with respect to theta without the last layer."""
        start = as_leaf_tensors(learned)
        whole = _with_head(grad_fn, start, self.head)
        query, gradient = self.inner(grad_fn, evaluate_query, whole)
        body = {name: value for name, value in start.items() if name in whole}
        through = torch.autograd.grad(
            [whole[name] for name in _names(self.head)],
            list(body.values()),
            [gradient[name] for name in _names(self.head)],
            materialize_grads=True,
        )
        pairs = zip(body, through, strict=True)
        return Gradient(query, {name: gradient[name] + part for name, part in pairs})


def _with_head(grad_fn: GradFn, start: Params, head: str) -> Params:
    """All parameters at the start of the inner loop, the last layer's made of the others."""
    centres = grad_fn(start, 0, True, [_COEFFICIENTS])[_COEFFICIENTS]
    body = {name: value for name, value in start.items() if name != _COEFFICIENTS}
    weight, bias = _names(head)
    return {**body, weight: 2 * centres, bias: -(centres**2).sum(-1)}


def _names(head: str) -> tuple[str, str]:
    return f"{head}.weight", f"{head}.bias"


def prototypes(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """``[classes, width]``, the mean of ``features`` by class (Snell et al. 2017, equation 1)."""
    belongs = (torch.arange(classes, device=labels.device)[:, None] == labels).to(features.dtype)
    return belongs @ features / belongs.sum(1, keepdim=True)


def _number_of_classes(labels: Tensor) -> int:
    """One more than the largest label; `InputError` where targets are no labels."""
    if labels.is_floating_point() or labels.dim() != 2:
        raise InputError(
            f"targets are {labels.dtype} of shape {list(labels.shape)}; prototypes need integer "
            "labels, one an example"
        )
    return int(labels.max()) + 1


def _check_classes(labels: Tensor, classes: int) -> None:
    """See that the support labels ``[tasks, examples]`` of each task are of every class."""
    there = (labels[:, None] == torch.arange(classes, device=labels.device)[:, None]).any(-1)
    missing = (~there).nonzero().tolist()
    if missing:
        task, label = missing[0]
        raise InputError(
            f"task {task} has no support example of class {label}; prototypes need at least one of "
            f"each class from 0 to {classes - 1}"
        )
