"""The first block, folded into its convolution, against PyTorch's, to the second order."""

import pytest
import torch
import torch.nn.functional as F

from fewstep.ops.block import Block
from fewstep.ops.conv import Geometry
from fewstep.ops.first_block import first_block, patches_of
from fewstep.ops.max_pool import window_of
from tests.ops.derivatives import TASKS, assert_same_derivatives, random_tensor


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("window", [None, window_of(2)])
@pytest.mark.parametrize(
    "geometry", [Geometry((1, 1), (1, 1), (1, 1), 1), Geometry((2, 1), (0, 2), (1, 2), 1)]
)
def test_the_first_block(geometry, window, relu):
    """Also where pictures are far from zero, and a scale is negative or zero."""
    torch.manual_seed(0)

    def ours(x, weight, scale, shift):
        patches = patches_of(x, (3, 3), geometry)
        y = first_block(x, patches, weight, scale, shift, geometry, Block(1e-5, relu, window))
        return y.tanh().square().sum()

    def plain(x, weight, scale, shift):
        y = F.batch_norm(F.conv2d(x, weight, None, *geometry), None, None, scale, shift, True)
        y = F.relu(y) if relu else y
        return (F.max_pool2d(y, *window) if window else y).tanh().square().sum()

    scale = torch.tensor([1.5, -0.5, 0.2, -2.0, 0.0], dtype=torch.float64).expand(TASKS, 5)
    others = (
        random_tensor(TASKS, 5, 2, 3, 3),
        scale.clone().requires_grad_(),
        random_tensor(TASKS, 5),
    )
    assert_same_derivatives(
        ours, plain, ((random_tensor(TASKS, 4, 2, 8, 7) + 10).detach().requires_grad_(), *others)
    )
