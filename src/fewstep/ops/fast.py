"""Functions of PyTorch whose derivatives are faster here, each with the same arguments."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.conv import Geometry, convolution
from fewstep.ops.layout import IntOrPair, pair, use_fast_path
from fewstep.ops.max_pool import max_pool, window_of
from fewstep.ops.vmap import fold_tasks_into_batch, under_vmap, with_task_dim


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Compute ``F.conv2d``."""
    if isinstance(padding, str) or not use_fast_path(input):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    geometry = Geometry(pair(stride), pair(padding), pair(dilation), groups)
    return convolution(input, weight, bias, geometry)


def max_pool2d(
    input: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Compute ``F.max_pool2d``."""
    window = (kernel_size, stride, padding, dilation, ceil_mode)
    if return_indices or not use_fast_path(input):
        return F.max_pool2d(input, *window, return_indices)  # type: ignore[call-overload]
    return max_pool(input, window_of(*window))


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Compute ``F.group_norm``; vmap's own rule refuses channels-last pictures."""
    if not under_vmap(input):
        return F.group_norm(input, num_groups, weight, bias, eps)

    def normalise(x: Tensor) -> Tensor:
        return F.group_norm(x, num_groups, eps=eps)

    result = with_task_dim(partial(fold_tasks_into_batch, normalise), input)
    shape = [1, -1] + [1] * (input.dim() - 2)
    result = result if weight is None else result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """Compute ``F.adaptive_avg_pool2d``.

    PyTorch's own puts a channels-last result into an odd layout, which vmap does slowly.
    """
    if output_size in (1, (1, 1)) and x.dim() == 4:
        return x.mean((-2, -1), keepdim=True)
    return F.adaptive_avg_pool2d(x, output_size)
