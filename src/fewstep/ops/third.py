"""Third and higher derivatives of operations that have two of their own, by their plain form."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def second_gradient_of(
    plain: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    g: Tensor,
    cotangents: Sequence[Tensor],
) -> list[Tensor]:
    """The gradients of ``g`` and of the inputs, that can be differentiated.

    Args:
        plain: A function of the inputs, of operations of PyTorch that have all derivatives.
        inputs: Its arguments.
        g: A cotangent of its result.
        cotangents: Of the gradients of the inputs.
    """
    with torch.enable_grad():
        # Aliases, for the gradient of one input not to go through another.
        here = [t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs]
        given = g.view_as(g) if g.requires_grad else g.detach().requires_grad_()
        result = plain(*here)
        found = torch.autograd.grad(result, here, given, create_graph=True, materialize_grads=True)
        return list(
            torch.autograd.grad(
                found, [given, *here], cotangents, create_graph=True, materialize_grads=True
            )
        )
