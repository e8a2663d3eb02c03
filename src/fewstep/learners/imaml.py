"""Implicit MAML (Rajeswaran, Finn, Kakade and Levine 2019, arXiv 1909.04630)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewstep.choices import Execution, Norm, Precision
from fewstep.errors import InputError
from fewstep.functional.layer_modes import in_training
from fewstep.functional.swapped import Params
from fewstep.learners.checks import Loss, check_above_zero
from fewstep.learners.gradient_based import GradientBased, Settings
from fewstep.learners.traits import Traits
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, adapt, as_leaf_tensors, last
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.objective import EvaluateQuery, Objective
from fewstep.metagrad.unroll import Gradient, GradientRule, ThroughInnerLoop, last_only
from fewstep.tasks import Inputs, TaskBatch
from fewstep.whole_numbers import check_whole


class ImplicitMAML(GradientBased):
    """Differentiates the end of the inner loop, whatever way led there.

    The inner loop descends the support loss + lambda/2 |phi - theta|^2 (equation 3). At its
    minimum d phi / d theta = (I + H / lambda)^-1, with H the Hessian of the support loss (lemma 1),
    so the inner loop leaves no graph. The gradient is exact where the inner loop has converged.

    Args:
        model: As in `MAML`, but without batch norm in training mode.
        inner_lr: Step size of the inner loop.
        inner_steps: How many inner steps; memory does not depend on it.
        proximal: lambda, how strongly phi is held near theta; more than 0.
        cg_steps: Steps of the conjugate gradient method that solves for the meta-gradient. None
            takes the query gradient at phi as it is.
        loss, metrics, execution, precision, norm: As in `MAML`; without batch norm both norms are
            the same.

    Raises:
        InputError: The model uses batch statistics, or a setting is out of range.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> tasks = fewstep.TaskBatch(x, y, x, y)
    >>> learner = fewstep.ImplicitMAML(torch.nn.Linear(4, 3), inner_steps=16, proximal=2.0)
    >>> loss, gradient = learner.meta_gradient(tasks)
    >>> list(gradient)
    ['weight', 'bias']
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.03,
        inner_steps: int = 16,
        *,
        proximal: float = 0.5,
        cg_steps: int = 5,
        loss: Loss | str = F.cross_entropy,
        metrics: Mapping[str, Metric] | None = None,
        execution: Execution = "auto",
        precision: Precision = "float32",
        norm: Norm = "transductive",
    ) -> None:
        settings = Settings(loss, metrics, execution, precision, norm)
        super().__init__(model, inner_lr, inner_steps, settings)
        _refuse_batch_statistics(model)
        self.cg_steps = check_whole("cg_steps", cg_steps)
        self.proximal = float(check_above_zero("proximal", proximal))
        if inner_lr * proximal >= 2:
            raise InputError(
                f"inner_lr is {inner_lr} and proximal {proximal}; the inner loop would move away "
                "from its minimum: choose them so that their product is less than 2"
            )

    def _for_training(self, tasks: TaskBatch) -> TaskBatch:
        _refuse_batch_statistics(self.model)
        return tasks

    def _objective(self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool) -> Objective:
        """With the proximal term in the support loss."""
        plain = super()._objective(tasks, traits, norm, training)
        theta = {name: value.detach() for name, value in self._plain().items()}

        def support_loss(params: Params, x: Inputs, y: Tensor) -> Tensor:
            # Its square by the size of a number would have no second derivative at 0.
            away = sum(_real(params[name] - theta[name]).square().sum() for name in theta)
            return plain.support_loss(params, x, y) + self.proximal / 2 * away

        return replace(plain, support_loss=support_loss)

    def _gradient(self, outer_step: int) -> GradientRule:
        """The implicit one (equation 6)."""
        return Implicit(self._loop, self.proximal, self.cg_steps)


@dataclass(frozen=True)
class Implicit:
    """The meta-gradient from the last parameters of the inner loop alone."""

    loop: InnerLoop
    proximal: float
    cg_steps: int

    def __call__(self, grad_fn: GradFn, evaluate_query: EvaluateQuery, learned: Params) -> Gradient:
        """The implicit gradient (equation 6); the derivative of ``grad_fn`` is H + lambda I."""
        end = as_leaf_tensors(last(adapt(self.loop, grad_fn, learned, self.loop.steps)).params)
        beside = as_leaf_tensors({n: value for n, value in learned.items() if n not in end})  # psi
        at_once = ThroughInnerLoop(replace(self.loop, steps=0), last_only(0))
        query, at_end = at_once(grad_fn, evaluate_query, {**end, **beside})
        inner = grad_fn({**end, **beside}, self.loop.steps, True, list(end))

        tasks = len(query.losses)
        sizes = [_real(value).numel() // tasks for value in end.values()]

        def flat(tree: Params) -> Tensor:
            return torch.cat([_real(tree[name]).reshape(tasks, -1) for name in end], 1)

        def tree(vector: Tensor) -> Params:
            pairs = zip(end.items(), torch.split(vector, sizes, 1), strict=True)
            return {name: _as_of(value, part) for (name, value), part in pairs}

        def product(vector: Tensor) -> Tensor:
            return flat(_pulled_back(inner, end, tree(vector))) / self.proximal

        solved = tree(conjugate_gradient(product, flat(at_end), self.cg_steps))
        if not beside:
            return Gradient(query, solved)
        # d phi / d psi = -(H + lambda I)^-1 times the derivative of the inner gradient by psi.
        towards = {name: -value / self.proximal for name, value in solved.items()}
        through = _pulled_back(inner, beside, towards)
        return Gradient(query, solved | {n: at_end[n] + part for n, part in through.items()})


def _pulled_back(outputs: Params, inputs: Params, cotangents: Params) -> Params:
    """The product of ``cotangents`` with the derivative of ``outputs``, by input."""
    products = torch.autograd.grad(
        list(outputs.values()),
        list(inputs.values()),
        list(cotangents.values()),
        retain_graph=True,
        materialize_grads=True,
    )
    return dict(zip(inputs, products, strict=True))


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, steps: int) -> Tensor:
    """Solve A x = b for a symmetric A = I + H / lambda, from x = 0 on, each ``[..., size]`` alone.

    Where H has no negative eigenvalue, every step makes x longer, and never longer than b. It
    stops before a step that would make x longer still, or along which A is not positive: there
    the inner loop is not near a minimum, and the exact x would be of any length. Up to there x
    points the way of b (Steihaug 1983). Where not a single step was made, it is b.
    """
    x = torch.zeros_like(b)
    residual = direction = b
    longest = square = _dot(b, b)
    going = torch.ones_like(square, dtype=torch.bool)
    for _ in range(steps):
        image = product(direction)
        curvature = _dot(direction, image)
        length = square / curvature
        further = x + length * direction
        going = going & (curvature > 0) & (_dot(further, further) <= longest)
        x = torch.where(going, further, x)
        residual = residual - torch.where(going, length, 0.0) * image
        square, before = _dot(residual, residual), square
        direction = residual + torch.where(going, square / before, 0.0) * direction
    return torch.where(_dot(x, x) > 0, x, b)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(-1, keepdim=True)


def _real(x: Tensor) -> Tensor:
    """A complex number as two real ones, since the Hessian takes them for such."""
    return torch.stack([x.real, x.imag], -1) if x.is_complex() else x


def _as_of(value: Tensor, part: Tensor) -> Tensor:
    """The numbers of a part of a vector in the shape and the type of a parameter."""
    shaped = part.reshape(_real(value).shape)
    return (torch.complex(*shaped.unbind(-1)) if value.is_complex() else shaped).to(value.dtype)


def _refuse_batch_statistics(model: nn.Module) -> None:
    for name, part in model.named_modules():
        if isinstance(part, _BatchNorm) and in_training(part):
            raise InputError(
                f"implicit MAML with batch norm {name!r} in training mode: what it solves for "
                "depends on parameters alone, not on which batch is seen; choose group norm "
                "(nn.GroupNorm, or --model-norm group) or another algorithm"
            )
