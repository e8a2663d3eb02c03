"""The inner loop: adaptation to one task, as a pure function of the initialisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fewstep.functional import Params

Objective = Callable[[Params, int], Tensor]
"""The support loss, a scalar, as a function of the parameters and of the inner step's number."""
Slope = Callable[[Params, int, bool], Params]
"""The gradient of the support loss, as a function of the same and of whether to keep its graph."""


def slope(objective: Objective) -> Slope:
    """The gradient by autograd; zero for a parameter without influence."""

    def gradient(params: Params, step: int, create_graph: bool) -> Params:
        gradients = torch.autograd.grad(
            objective(params, step),
            list(params.values()),
            create_graph=create_graph,
            materialize_grads=True,
        )
        return dict(zip(params, gradients, strict=True))

    return gradient


def inner_step(
    gradient_of: Slope, params: Params, step: int, lr: float, *, create_graph: bool
) -> Params:
    """One gradient step on the support set (MAML, Algorithm 1, line 6; Algorithm 2, line 7).

    Args:
        gradient_of: Its gradient, by the names of ``params`` and in their order.
        params: theta_s; every tensor requires a gradient.
        step: s, counted from 0.
        lr: alpha, the inner learning rate.
        create_graph: Keep the derivative of the gradient itself. Without it the result still
            depends on ``params``, but as if the gradient were a constant (first order).

    Returns:
        theta_{s+1} = theta_s - alpha * gradient.
    """
    gradients = gradient_of(params, step, create_graph)
    return {
        name: value - lr * gradient
        for (name, value), gradient in zip(params.items(), gradients.values(), strict=True)
    }


def adapt(gradient: Slope, params: Params, steps: int, lr: float) -> list[Params]:
    """The parameters before and after each inner step, with no graph kept.

    Args:
        gradient: Of the support loss.
        params: theta_0.
        steps: How many inner steps.
        lr: alpha, the inner learning rate.

    Returns:
        theta_0, theta_1, ..., theta_steps, each detached and requiring a gradient.
    """
    path = [leaves(params)]
    for step in range(steps):
        path.append(leaves(inner_step(gradient, path[-1], step, lr, create_graph=False)))
    return path


def leaves(params: Params) -> Params:
    """The same values, cut off from every graph, each requiring a gradient."""
    return {name: value.detach().requires_grad_() for name, value in params.items()}
