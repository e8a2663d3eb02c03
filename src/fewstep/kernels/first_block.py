"""The first block of a network, whose batch norm is folded into the convolution before it.

With m and S for the mean and the covariance of the patches that a filter w sees, what it makes has
mean w . m and variance w . S w. Batch norm after it is therefore another convolution, by
f w with f = scale / sqrt(w . S w + eps) and with bias shift - f w . m, and no pass over what the
convolution makes is needed but the pooling's: neither on the way forward nor back nor back again.

That pays where patches are small beside the number of filters, as those of pictures of one channel
are; and in the first block alone, since in others S would have a derivative, too.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fewstep.kernels.block import Block
from fewstep.kernels.convolution import Geometry, conv2d
from fewstep.kernels.pooling import max_pool2d
from fewstep.kernels.tasks import has_gradient

FILTERS_TO_NUMBERS = 3
"""Measured: 64 filters of 9 numbers pay, 32 of 27 cost more than they save."""


def pays_folded(x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Whether a block on ``x`` is computed faster this way."""
    filters, numbers = len(weight), weight.shape[1:].numel()
    small = FILTERS_TO_NUMBERS * numbers <= filters
    return small and geometry.groups == 1 and not has_gradient(x)


def first_block(
    x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, geometry: Geometry, block: Block
) -> Tensor:
    """Convolution, batch norm by the statistics of the batch, and what comes after.

    Args:
        x: ``[examples, channels, height, width]``.
        weight: ``[filters, channels, height, width]``, without groups.
        scale: ``[filters]``, of batch norm.
        shift: ``[filters]``, of batch norm.
        geometry: Of the convolution. It has no bias, which batch norm would subtract again.
        block: What comes after.
    """
    mean, covariance = _of_patches(x, (weight.shape[2], weight.shape[3]), geometry)
    rows = weight.flatten(1)
    variance = ((rows @ covariance) * rows).sum(1)
    factor = scale * (variance + block.eps).rsqrt()
    y = conv2d(x, weight * factor[:, None, None, None], shift - factor * (rows @ mean), geometry)
    if block.window is not None:
        y = max_pool2d(y, block.window)
    return F.relu(y) if block.relu else y


def _of_patches(x: Tensor, size: tuple[int, int], geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Mean and covariance, ``[numbers]`` and ``[numbers, numbers]``."""
    unfolded = F.unfold(x, size, geometry.dilation, geometry.padding, geometry.stride)
    patches = unfolded.transpose(0, 1).flatten(1)
    mean = patches.mean(1)
    centred = patches - mean[:, None]
    return mean, centred @ centred.T / centred.shape[1]
