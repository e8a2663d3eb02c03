"""The inner loop: adaptation to one task, as a pure function of what is meta-learned.

All that is meta-learned is one dict of tensors, ``learned``: the model's parameters under their own
names, and beside them

- ``inner_lr.NAME``: step sizes of the parameter NAME, ``[steps]`` or of its own shape,
- ``per_step.NAME``: values of NAME, a parameter or a buffer, ``[steps + 1, channels]``: the model
  that was adapted by s steps has row s.

What the inner loop carries from step to step is another, the state: the parameters that adapt, and
what the optimiser remembers of each. Every tensor may have more dimensions in front, one a task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from fewstep.errors import InputError
from fewstep.functional.swapped import Params

StepLoss = Callable[[Params, int], Tensor]
"""The support loss, a scalar, as a function of the parameters and of the inner step's number."""
InnerOptimizer = Literal["sgd", "momentum", "adam"]
StepSizes = Literal["fixed", "per-step", "per-element"]

INNER_LR, PER_STEP = "inner_lr.", "per_step."
MOMENTUM = 0.9
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-5
"""Larger than usual: at a gradient that is only rounding, 1 / epsilon is the step's derivative."""


class GradFn(Protocol):
    """The gradient of the support loss."""

    def __call__(
        self,
        params: Params,
        step: int,
        create_graph: bool,
        adapting: Sequence[str] | None = None,
    ) -> Params:
        """The gradient by name.

        Args:
            params: What the model consists of.
            step: Number of the inner step.
            create_graph: Whether to keep its graph.
            adapting: With respect to which of ``params``; all unless given.
        """


def support_gradient(step_loss: StepLoss) -> GradFn:
    """The gradient by autograd; zero for a parameter without influence."""

    def gradient(
        params: Params, step: int, create_graph: bool, adapting: Sequence[str] | None = None
    ) -> Params:
        names = list(params) if adapting is None else adapting
        gradients = torch.autograd.grad(
            with_gradient(step_loss(params, step)),
            [params[name] for name in names],
            create_graph=create_graph,
            materialize_grads=True,
        )
        return dict(zip(names, gradients, strict=True))

    return gradient


def with_gradient(loss: Tensor) -> Tensor:
    """The loss itself.

    Raises:
        InputError: It has no gradient.
    """
    if not loss.requires_grad or loss.is_complex():
        raise InputError(
            "the loss has no gradient: it is complex, or does not depend on the parameters, or "
            "something in between stops gradients (detach, argmax, integers)"
        )
    return loss


@dataclass(frozen=True)
class InnerLoop:
    """The settings of an inner loop.

    Attributes:
        steps: How many inner steps.
        lr: alpha, the step size of every parameter that has none of its own.
        adapting: Names of the parameters that adapt.
        optimizer: What makes a step of a gradient; it starts each task without memory.
        step_sizes: alpha for all (``"fixed"``), or learned ones: a number for each parameter
            tensor and step (MAML++), or one for each element (Meta-SGD).
    """

    steps: int
    lr: float
    adapting: tuple[str, ...]
    optimizer: InnerOptimizer = "sgd"
    step_sizes: StepSizes = "fixed"

    def init(self, learned: Params) -> Params:
        """The state before the first step: theta_0, and optimisers that remember nothing."""
        state = {name: learned[name] for name in self.adapting}
        for slot in _SLOTS[self.optimizer]:
            state |= {slot + name: torch.zeros_like(learned[name]) for name in self.adapting}
        return state

    def model_params(self, learned: Params, state: Params, step: int) -> Params:
        """What the model consists of after ``step`` steps."""
        params = {n: v for n, v in learned.items() if not n.startswith((INNER_LR, PER_STEP))}
        params |= {name: state[name] for name in self.adapting}
        for name, values in learned.items():
            if name.startswith(PER_STEP):
                params[name.removeprefix(PER_STEP)] = values.select(-2, step)
        return params

    def step(
        self, grad_fn: GradFn, learned: Params, state: Params, step: int, *, create_graph: bool
    ) -> Params:
        """One step on the support set (MAML, Algorithm 1, line 6; Algorithm 2, line 7).

        Args:
            grad_fn: The gradient of the support loss.
            learned: All that is meta-learned.
            state: theta_s and what the optimiser remembers; every tensor requires a gradient.
            step: s, counted from 0.
            create_graph: Keep the derivative of the gradient itself. Without it the result still
                depends on ``state`` and ``learned``, but as if the gradient were a constant (first
                order).

        Returns:
            The state with theta_{s+1} = theta_s - alpha * gradient, or what the optimiser makes
            of the gradient.
        """
        gradients = grad_fn(
            self.model_params(learned, state, step), step, create_graph, self.adapting
        )
        updates: list[Tensor] = []
        after: Params = {}
        for name, gradient in gradients.items():
            slots = [state[slot + name] for slot in _SLOTS[self.optimizer]]
            update, *slots = _UPDATES[self.optimizer](gradient, step, *slots)
            updates.append(update)
            for slot, value in zip(_SLOTS[self.optimizer], slots, strict=True):
                after[slot + name] = value
        thetas = [state[name] for name in gradients]
        fixed = self.step_sizes == "fixed"
        rates = self.lr if fixed else [self._lr(learned, name, step) for name in gradients]
        # Of all tensors by one call: one by one, calling takes longer than computing.
        moved = torch._foreach_sub(thetas, torch._foreach_mul(updates, rates))
        after |= dict(zip(gradients, moved, strict=True))
        return {name: after[name] for name in state}

    def _lr(self, learned: Params, name: str, step: int) -> Tensor:
        """The learned step size of a parameter, in a shape to multiply it by."""
        if self.step_sizes == "per-element":
            return learned[INNER_LR + name]
        lr = learned[INNER_LR + name].select(-1, step)
        return lr.reshape(*lr.shape, *[1] * (learned[name].dim() - lr.dim()))


def adapt(loop: InnerLoop, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[Params]:
    """The states before and after each inner step, one after another, with no graph kept.

    Args:
        loop: How to adapt.
        grad_fn: The gradient of the support loss.
        learned: All that is meta-learned.
        steps: How many inner steps.

    Yields:
        States 0, 1, ..., steps, each detached and requiring a gradient. Only the last is kept.
    """
    learned = {name: value.detach() for name, value in learned.items()}
    state = as_leaf_tensors(loop.init(learned))
    yield state
    for step in range(steps):
        with torch.enable_grad():
            state = as_leaf_tensors(loop.step(grad_fn, learned, state, step, create_graph=False))
        yield state


def adapted_path(loop: InnerLoop, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[Params]:
    """As `adapt`, but what the model consists of after 0, 1, ..., steps steps."""
    for step, state in enumerate(adapt(loop, grad_fn, learned, steps)):
        yield loop.model_params(learned, state, step)


def last(path: Iterator[Params]) -> Params:
    """The last of them."""
    return deque(path, maxlen=1)[0]


def as_leaf_tensors(params: Params) -> Params:
    """The same values, cut off from every graph, each requiring a gradient."""
    return {name: value.detach().requires_grad_() for name, value in params.items()}


def _sgd(gradient: Tensor, _: int) -> tuple[Tensor]:
    return (gradient,)


def _momentum(gradient: Tensor, _: int, velocity: Tensor) -> tuple[Tensor, Tensor]:
    velocity = MOMENTUM * velocity + gradient
    return velocity, velocity


def _adam(gradient: Tensor, step: int, mean: Tensor, square: Tensor) -> tuple[Tensor, ...]:
    """Kingma and Ba 2015, Algorithm 1, with epsilon inside the root.

    The root of zero has no finite derivative, and the gradient of a dead unit is exactly zero. The
    real and the imaginary part of a complex number are two numbers.
    """
    if gradient.is_complex():
        parts = map(torch.view_as_real, (gradient, mean, square))
        return tuple(map(torch.view_as_complex, _adam(next(parts), step, *parts)))
    first, second = ADAM_DECAYS
    mean = first * mean + (1 - first) * gradient
    square = second * square + (1 - second) * gradient.square()
    root = (square / (1 - second ** (step + 1)) + ADAM_EPSILON**2).sqrt()
    return mean / (1 - first ** (step + 1)) / root, mean, square


_UPDATES: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "adam": _adam,
}
_SLOTS: dict[str, tuple[str, ...]] = {
    "sgd": (),
    "momentum": ("velocity/",),
    "adam": ("mean/", "square/"),
}
