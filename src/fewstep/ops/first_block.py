"""The first block of a network, whose batch norm is folded into the convolution before it.

With m and S for the mean and the covariance of the patches that a filter w sees, what it makes has
mean w . m and variance w . S w. Batch norm after it is therefore another convolution, by
f w with f = scale / sqrt(w . S w + eps) and with bias shift - f w . m, and no pass over what the
convolution makes is needed but the pooling's: neither on the way forward nor back nor back again.

That is faster where patches are small beside the number of filters, as those of pictures of one
channel are, or are the same in every inner step, as those of the support set; and in the first
block alone, since in others S would have a derivative, too.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.block import Block
from fewstep.ops.conv import Geometry, convolution
from fewstep.ops.max_pool import max_pool
from fewstep.ops.vmap import has_gradient

MIN_FILTERS, MIN_FILTERS_IF_REPEATED = 3, 1
"""Filters for each number of a patch, at least.

Measured: for patches that come once 64 filters of 9 numbers are, and 32 of 27 are not.
"""


class Patches(NamedTuple):
    """Statistics of the patches of all pictures together, over the numbers of a patch."""

    mean: Tensor
    covariance: Tensor


def use_folding(x: Tensor, weight: Tensor, geometry: Geometry, inputs_repeat: bool) -> bool:
    """Whether a block on ``x``, perhaps given several times, is computed faster this way."""
    worth = MIN_FILTERS_IF_REPEATED if inputs_repeat else MIN_FILTERS
    small = worth * weight.shape[1:].numel() <= len(weight)
    return small and geometry.groups == 1 and not has_gradient(x)


def first_block(
    x: Tensor,
    patches: Patches,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    geometry: Geometry,
    block: Block,
) -> Tensor:
    """Compute convolution, batch norm by the statistics of the batch, and what comes after.

    The convolution has no groups, and no bias, which batch norm would subtract again. Scale and
    shift are those of batch norm.
    """
    mean, covariance = patches
    rows = weight.flatten(1)
    variance = ((rows @ covariance) * rows).sum(1)
    factor = scale * (variance + block.eps).rsqrt()
    folded, bias = weight * factor[:, None, None, None], shift - factor * (rows @ mean)
    y = convolution(x, folded, bias, geometry)
    if block.window is None:
        return F.relu(y) if block.relu else y
    y = max_pool(y, block.window)
    # ReLU that keeps what it was given: a layer that comes after may change its result in place.
    return F.threshold(y, 0.0, 0.0) if block.relu else y


def patches_of(x: Tensor, size: tuple[int, int], geometry: Geometry) -> Patches:
    """Return the statistics of what filters of a size see of ``[examples, channels, ...]``."""
    unfolded = F.unfold(x, size, geometry.dilation, geometry.padding, geometry.stride)
    columns = unfolded.transpose(0, 1).flatten(1)
    mean = columns.mean(1)
    centred = columns - mean[:, None]
    return Patches(mean, centred @ centred.T / centred.shape[1])
