"""Channels-last layout of ``[examples, channels, height, width]``, alone or with tasks in front."""

import torch
from torch import Tensor

IntOrPair = int | tuple[int, ...]
"""One number for height and width, or one each."""


def pair(size: IntOrPair) -> tuple[int, int]:
    """Return height and width."""
    if isinstance(size, int):
        return size, size
    return size[0], size[-1]


def use_fast_path(x: Tensor) -> bool:
    """Whether pictures like ``x`` are computed faster here than by PyTorch's own derivatives."""
    return (
        x.device.type == "cpu"
        and x.dim() == 4
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )


def channels_last(x: Tensor) -> Tensor:
    """Return the same values, with the channels of a pixel side by side in memory."""
    # contiguous() would keep the strides of a picture of one channel, which oneDNN reads as
    # channels-first; view() may put them back, so a task taken out of many is passed through here
    # again.
    if x.dim() == 4:
        return x.to(memory_format=torch.channels_last)
    return x.flatten(0, 1).to(memory_format=torch.channels_last).view(x.shape)


def as_output(result: Tensor) -> Tensor:
    """Return it as no view, which a layer that comes after could not change in place."""
    return result.detach()


def rows(x: Tensor) -> Tensor:
    """View ``[..., examples, channels, height, width]`` as ``[..., pixels, channels]``."""
    return x.movedim(-3, -1).flatten(-4, -2)


def pictures(rows: Tensor, like: Tensor) -> Tensor:
    """Undo `rows`, of a tensor of the shape of ``like``."""
    *front, channels, height, width = like.shape
    return rows.view(*front, height, width, channels).movedim(-1, -3)
