"""Ridge regression on learned features, R2-D2 (Bertinetto et al. 2019, arXiv 1805.08136)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import log
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.choices import Execution, Norm, Precision
from fewstep.errors import InputError
from fewstep.functional.layer_modes import LayerModes
from fewstep.functional.swapped import Params
from fewstep.learners.checks import Loss, check_above_zero, loss_of
from fewstep.learners.gradient_based import GradientBased, Settings
from fewstep.learners.heads import check_plain, head_of, noting, only_features
from fewstep.learners.names import ParameterTree
from fewstep.learners.traits import Traits
from fewstep.metagrad.inner_loop import GradFn, as_leaf_tensors
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.objective import EvaluateQuery, Objective
from fewstep.metagrad.unroll import Gradient, GradientRule
from fewstep.runtime.modes import autocast
from fewstep.tasks import Inputs, TaskBatch

_COEFFICIENTS = "ridge coefficients"
"""A variable z beside the parameters. The gradient of <z, head> with respect to it is the head, so
it comes by the same way as every inner gradient, with its own derivative."""
_PENALTY = "ridge.penalty"
_RATE = 5.0
"""lambda is the exponential of so many times what is learned. Good penalties differ by factors of
hundreds; under Adam, which moves all alike, their logarithms came too late without it."""


class R2D2(GradientBased):
    """Solves for the last layer of each task in closed form: ridge regression on its features.

    The features are what the model's last ``nn.Linear`` sees. A task's last layer W minimises the
    sum of squared errors on the support set + the sum of lambda_j |w_j - v_j|^2 over the features
    j, the intercept among them. The features, v (the parameters of the model's own last layer) and
    lambda are meta-learned, by the exact gradient through the solution. Of a linear model this is
    the best linear unbiased prediction of a mixed-effects model with independent random slopes;
    with v = 0 and one lambda it is the paper's learner (section 3.2).

    Args:
        model: A regression whose last layer is an ``nn.Linear``; its parameters are the prediction
            before adaptation.
        penalty: lambda of all features at first; more than 0.
        loss: The query loss; the support loss is the sum of squared errors in any case.
        metrics, execution, precision, norm: As in `MAML`.

    Raises:
        InputError: The model has no linear layer, or a setting is out of range.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.randn(8, 6, 1)
    >>> tasks = fewstep.TaskBatch(x, y, x, y)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> learner = fewstep.R2D2(model)
    >>> list(learner.meta_gradient(tasks)[1])[-1]
    'ridge.penalty'
    >>> learner.adapt(x[0], y[0])(x[0]).shape
    torch.Size([6, 1])
    """

    _PREFIXES: ClassVar[dict[str, str]] = {**GradientBased._PREFIXES, "_ridge": "ridge."}

    def __init__(
        self,
        model: nn.Module,
        penalty: float = 10.0,
        *,
        loss: Loss | str = F.mse_loss,
        metrics: Mapping[str, Metric] | None = None,
        execution: Execution = "auto",
        precision: Precision = "float32",
        norm: Norm = "transductive",
    ) -> None:
        if loss_of(loss) is F.cross_entropy:
            raise InputError(
                "loss is cross_entropy, and R2D2 solves regressions; use loss='mse' for numbers, "
                "or another algorithm for classes"
            )
        settings = Settings(loss, metrics, execution, precision, norm)
        super().__init__(model, 0.0, 1, settings)
        self.penalty = check_above_zero("penalty", penalty)
        self.head = head_of(model)
        check_plain(model, self.head)
        layer = self._layer
        columns = layer.in_features + (layer.bias is not None)
        start = layer.weight.detach().new_full((columns,), log(penalty) / _RATE)
        self._ridge = ParameterTree({"penalty": nn.Parameter(start)})

    def meta_parameters(self) -> dict[str, nn.Parameter]:
        return super().meta_parameters() | self.named("_ridge")

    def _objective(self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool) -> Objective:
        """With the last layer of a task as the gradient of the coefficients."""
        plain = super()._objective(tasks, traits, norm, training)
        inputs: list[Tensor] = []
        layer, names = self._layer, self._names
        modes: LayerModes = "own" if training else "evaluation"
        noted = {self.head: noting(layer, inputs.append)}
        features = self._pure(modes, traits, replaced=noted)
        fixed = {name: value.detach() for name, value in self._fixed().items()}

        def support_loss(params: Params, x: Inputs, y: Tensor) -> Tensor:
            if _COEFFICIENTS not in params:
                return plain.support_loss(params, x, y)
            inputs.clear()
            with (
                autocast(self.precision, y.device),
                features.having(of_model(params), fused=True, inputs_repeat=True),
            ):
                features.predict(x)
            found = only_features(inputs, len(y), layer, "R2D2")
            own = {**fixed, **params}
            prior = [own[name] for name in names]
            wanted, there = targets(y, layer.out_features), None
            if traits.mark is not None:
                there = ~traits.mark.is_in(wanted).any(1, keepdim=True)
            head = ridge(found, wanted, prior, (_RATE * own[_PENALTY]).exp(), there)
            return (params[_COEFFICIENTS] * head).sum()

        size = layer.out_features, len(self.named("_ridge")[_PENALTY])
        learned = {**plain.learned, **self.named("_ridge")}
        learned[_COEFFICIENTS] = layer.weight.detach().new_zeros(size)
        return replace(plain, support_loss=support_loss, learned=learned)

    def _fixed(self) -> dict[str, nn.Parameter]:
        """The parameters of the last layer and of the penalty, of which some may not be learned."""
        own = dict(self.model.named_parameters())
        return {name: own[name] for name in self._names} | self.named("_ridge")

    def _gradient(self, outer_step: int) -> GradientRule:
        return ThroughRidge(self._names)

    def _needs_second_derivative(self, outer_step: int) -> bool:
        return False

    def _path(self, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[Params]:
        """Before adaptation, and the same solution after every further step."""
        yield of_model(learned)
        if steps:
            with torch.enable_grad():
                solved = with_ridge(grad_fn, as_leaf_tensors(learned), self._names)
            solved = {name: value.detach() for name, value in solved.items()}
            yield from (solved for _ in range(steps))

    @property
    def _names(self) -> tuple[str, ...]:
        """Those of the last layer's parameters."""
        prefix = f"{self.head}." if self.head else ""
        return tuple(prefix + name for name, _ in self._layer.named_parameters())

    @property
    def _layer(self) -> nn.Linear:
        layer = self.model.get_submodule(self.head)
        assert isinstance(layer, nn.Linear)
        return layer


@dataclass(frozen=True)
class ThroughRidge:
    """The gradient through the solution of the ridge regression."""

    names: tuple[str, ...]  # of the last layer's parameters

    def __call__(self, grad_fn: GradFn, evaluate_query: EvaluateQuery, learned: Params) -> Gradient:
        """The gradient with respect to features, prior mean and penalty."""
        start = as_leaf_tensors(learned)
        query = evaluate_query(with_ridge(grad_fn, start, self.names))
        inputs = {name: value for name, value in start.items() if name != _COEFFICIENTS}
        found = torch.autograd.grad(
            query.losses.sum(), list(inputs.values()), materialize_grads=True
        )
        return Gradient(query.detach(), dict(zip(inputs, found, strict=True)))


def of_model(params: Params) -> Params:
    """Those that are the model's."""
    return {n: v for n, v in params.items() if n not in (_COEFFICIENTS, _PENALTY)}


def with_ridge(grad_fn: GradFn, start: Params, names: tuple[str, ...]) -> Params:
    """The model's tensors, the last layer's made of the support set."""
    head = grad_fn(start, 0, True, [_COEFFICIENTS])[_COEFFICIENTS]
    weight, *bias = names
    if not bias:
        return {**of_model(start), weight: head}
    return {**of_model(start), weight: head[..., :-1], bias[0]: head[..., -1]}


def ridge(
    features: Tensor, y: Tensor, prior: list[Tensor], penalty: Tensor, there: Tensor | None = None
) -> Tensor:
    """The last layer ``[outputs, features (+ 1)]``, the intercept in the last column.

    Args:
        features: ``[examples, features]``.
        y: ``[examples, outputs]``.
        prior: The mean, a weight and, if there is one, a bias.
        penalty: lambda, for each column of the result.
        there: ``bool [examples, 1]``, false for padding.
    """
    x, mean = features, prior[0]
    if len(prior) > 1:
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        mean = torch.cat([mean, prior[1][:, None]], 1)
    if there is not None:
        x, y = torch.where(there, x, 0.0), torch.where(there, y, 0.0)
    scaled = x / penalty.sqrt()  # so that the penalty is that of the identity
    rest = y - x @ mean.mT
    if len(x) <= x.shape[1]:
        gram = scaled @ scaled.mT + torch.eye(len(x)).to(x)
        moved = scaled.mT @ torch.linalg.solve(gram, rest)
    else:
        gram = scaled.mT @ scaled + torch.eye(x.shape[1]).to(x)
        moved = torch.linalg.solve(gram, scaled.mT @ rest)
    head: Tensor = mean + (moved / penalty.sqrt()[:, None]).mT
    return head


def targets(y: Tensor, outputs: int) -> Tensor:
    """The targets as ``[examples, outputs]``."""
    if not y.is_floating_point() or y.numel() != len(y) * outputs:
        raise InputError(
            f"targets of a task are {list(y.shape)}, {y.dtype}; R2D2 solves for {outputs} numbers "
            "an example, as many as the model's last linear layer has outputs"
        )
    return y.reshape(len(y), outputs)
