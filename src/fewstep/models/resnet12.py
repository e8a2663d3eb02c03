"""ResNet-12, the field's second standard network after Conv-4."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.models.sizes import check_sizes, side_of

if TYPE_CHECKING:
    from fewstep.config.schema import Config

WIDTHS = (64, 160, 320, 640)
SLOPE = 0.1  # of LeakyReLU below zero


def resnet12(channels: int, ways: int, widths: tuple[int, ...] = WIDTHS) -> nn.Sequential:
    """Four residual blocks of three 3x3 convolutions, a mean over pixels, and a linear layer.

    From ``[examples, channels, size, size]`` to ``[examples, ways]``, for pictures of any size from
    16 pixels. The network of TADAM (Oreshkin, Rodriguez and Lacoste 2018, arXiv 1805.10123) with
    the widths and the LeakyReLU of MetaOptNet (Lee et al. 2019, arXiv 1904.03758), without its
    DropBlock.

    Args:
        channels: Of the pictures.
        ways: Classes to tell apart.
        widths: Filters of each block; a block halves the picture.

    >>> import torch
    >>> resnet12(channels=3, ways=5, widths=(4, 8, 16, 32))(torch.zeros(10, 3, 84, 84)).shape
    torch.Size([10, 5])
    """
    check_sizes(channels=channels, ways=ways, widths=min(widths, default=0))
    blocks = [_Block(*both) for both in pairwise((channels, *widths))]
    network = nn.Sequential(
        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], ways)
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE, "fan_out", "leaky_relu")
    return network


def from_config(_: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The network for square pictures."""
    size = side_of(example_shape)
    if size < 2 ** len(WIDTHS):
        raise InputError(
            f"model resnet12 with pictures of {size} pixels; it halves them four times, so it "
            "needs 16 or more: choose model conv4"
        )
    return resnet12(example_shape[0], outputs)


class _Block(nn.Module):
    """Adds three convolutions and one of 1x1, each with batch norm, and halves the picture."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(inputs, width, 3),
            nn.LeakyReLU(SLOPE),
            *_convolution(width, width, 3),
            nn.LeakyReLU(SLOPE),
            *_convolution(width, width, 3),
        )
        self.shortcut = nn.Sequential(*_convolution(inputs, width, 1))
        # LeakyReLU is monotone, so the largest number stays the largest: after the pooling there is
        # a quarter of the work and of the memory.
        self.end = nn.Sequential(nn.MaxPool2d(2), nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.end(self.body(x) + self.shortcut(x))
        return y


def _convolution(inputs: int, width: int, size: int) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(inputs, width, size, padding=size // 2, bias=False)
    return convolution, nn.BatchNorm2d(width)
