"""A loss whose gradient is known already, and is handed out by ``backward``."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from fewstep.errors import InputError
from fewstep.functional.swapped import Params


def with_gradient_of(loss: Tensor, gradient: Params, parameters: Mapping[str, Tensor]) -> Tensor:
    """The loss, as a function of parameters that has this gradient and no further derivative."""
    handed = [parameters[name] for name in gradient]
    apply: Any = _WithGradient.apply
    return apply(loss, list(gradient.values()), *handed)  # type: ignore[no-any-return]


class _WithGradient(Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradient: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*gradient)
        ctx.parameters = parameters
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *factor: Tensor) -> Any:
        handed = list(torch._foreach_mul(ctx.saved_tensors, factor[0]))
        if torch.is_grad_enabled():
            # With create_graph=True. Without a graph it would count as a constant, silently.
            apply: Any = _Underivable.apply
            handed = list(map(apply, handed, ctx.parameters))
        return None, None, *handed


class _Underivable(Function):
    @staticmethod
    def forward(_: Any, value: Tensor, _parameter: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_: Any, *_factor: Tensor) -> Any:
        raise InputError(
            "a meta-gradient was differentiated once more, and has no derivative: its graph is not "
            "kept; leave it out of the loss, or detach it"
        )
