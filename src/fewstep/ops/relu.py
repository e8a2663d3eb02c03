"""ReLU for a compiler, whose kernels read and write boolean masks one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _Relu(torch.autograd.Function):
    """The same values and derivatives, by the sign of the result in the place of a comparison."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp_min(0)

    @staticmethod
    def setup_context(ctx: Any, _: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return grad * output.detach().sign()


def _relu(input: Tensor, inplace: bool = False) -> Tensor:
    if inplace:
        return F.relu_(input)
    result: Tensor = _Relu.apply(input)
    return result


RELU: dict[Callable[..., Any], Callable[..., Any]] = {
    F.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
}
"""Each takes the arguments of what it replaces."""
