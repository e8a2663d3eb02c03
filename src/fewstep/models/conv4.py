"""The four-block convolutional network of few-shot learning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

from fewstep.choices import Downsample, ModelNorm
from fewstep.errors import InputError
from fewstep.models.sizes import check_sizes, side_of

if TYPE_CHECKING:
    from fewstep.config.schema import Config


def conv4(
    channels: int,
    size: int,
    ways: int,
    filters: int = 64,
    downsample: Downsample = "stride",
    norm: ModelNorm = "batch",
) -> nn.Sequential:
    """Four blocks of 3x3 convolution, batch norm and ReLU, then a linear layer.

    From ``[examples, channels, size, size]`` to ``[examples, ways]``. The MAML paper's: with
    ``"stride"`` for Omniglot (the convolutions halve the picture and the last feature map is
    averaged), with ``"max-pool"`` and 32 filters for mini-ImageNet.

    Args:
        channels: Of the pictures.
        size: Height and width of the pictures in pixels.
        ways: Classes to tell apart.
        filters: Of each convolution.
        downsample: How each block halves the picture.
        norm: What stands in the place of batch norm: group norm, of eight groups where the filters
            can be divided so, or nothing.

    Raises:
        InputError: The pictures are too small to be halved four times, or a number is below 1.

    >>> import torch
    >>> conv4(channels=3, size=84, ways=5)(torch.zeros(10, 3, 84, 84)).shape
    torch.Size([10, 5])
    """
    check_sizes(channels=channels, size=size, ways=ways, filters=filters)
    if downsample == "max-pool" and size < 16:
        raise InputError(
            f"size is {size}; max-pool halves a picture four times, so it needs 16 or more pixels: "
            "choose downsample stride"
        )
    widths = [channels] + [filters] * 4
    blocks = [_block(widths[i], filters, downsample, norm) for i in range(4)]
    if downsample == "stride":
        body, features = [*blocks, nn.AdaptiveAvgPool2d(1)], filters
    else:
        body, features = list(blocks), filters * (size // 16) ** 2
    network = nn.Sequential(*body, nn.Flatten(), nn.Linear(features, ways))
    network.apply(_initialise)
    return network


def from_config(config: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The network of a config for square pictures."""
    size = side_of(example_shape)
    return conv4(
        example_shape[0], size, outputs, config.filters, config.downsample, config.model_norm
    )


def _block(inputs: int, filters: int, downsample: Downsample, norm: ModelNorm) -> nn.Sequential:
    stride = 2 if downsample == "stride" else 1
    layers: list[nn.Module] = [nn.Conv2d(inputs, filters, 3, stride=stride, padding=1)]
    if norm == "batch":
        layers.append(nn.BatchNorm2d(filters))
    elif norm == "group":
        layers.append(nn.GroupNorm(math.gcd(filters, 8), filters))
    layers.append(nn.ReLU())
    return nn.Sequential(*layers, *([] if stride == 2 else [nn.MaxPool2d(2)]))


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
