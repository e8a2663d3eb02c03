"""Functions of PyTorch whose derivatives are faster here, each with the same arguments."""

from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.conv import convolution, geometry_of
from fewstep.ops.layout import use_fast_path
from fewstep.ops.max_pool import max_pool, window_of
from fewstep.ops.vmap import fold_tasks_into_batch, under_vmap, with_task_dim


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Tensor:
    """Compute ``F.conv2d``."""
    geometry = geometry_of(*args, **kwargs)
    if geometry is None or not use_fast_path(input):
        return F.conv2d(input, weight, bias, *args, **kwargs)
    return convolution(input, weight, bias, geometry)


def max_pool2d(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Compute ``F.max_pool2d``."""
    window = window_of(*args, **kwargs)
    if window is None or not use_fast_path(input):
        return F.max_pool2d(input, *args, **kwargs)
    return max_pool(input, window)


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
    normalise = partial(fold_tasks_into_batch, F.group_norm, num_groups=num_groups, eps=eps)
    result = with_task_dim(normalise, input)
    shape = [1, -1] + [1] * (input.dim() - 2)
    result = result if weight is None else result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Compute ``F.adaptive_avg_pool2d``, whose own result has a layout that vmap does slowly."""
    if output_size in (1, (1, 1)) and input.dim() == 4:
        return input.mean((-2, -1), keepdim=True)
    return F.adaptive_avg_pool2d(input, output_size)
