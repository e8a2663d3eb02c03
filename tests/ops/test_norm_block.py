"""Batch norm, ReLU and pooling as one operation against PyTorch's, to the second order."""

import pytest
import torch
import torch.nn.functional as F

from fewstep.ops.block import Block
from fewstep.ops.max_pool import window_of
from fewstep.ops.norm_block import norm_block
from tests.ops.derivatives import TASKS, assert_same_derivatives, derivatives, random_tensor


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
    "window", [None, window_of(2), window_of(3, stride=2, padding=1, ceil_mode=True)]
)
def test_norm_block(window, relu, affine):
    """With weights of either sign: where one is negative the smallest number is selected."""
    torch.manual_seed(0)

    def ours(x, weight, bias):
        weight, bias = (weight, bias) if affine else (None, None)
        return norm_block(x, weight, bias, Block(1e-5, relu, window)).tanh().square().sum()

    def plain(x, weight, bias):
        weight, bias = (weight, bias) if affine else (None, None)
        y = F.batch_norm(x, None, None, weight, bias, True, 0.0, 1e-5)
        y = F.relu(y) if relu else y
        return (F.max_pool2d(y, *window) if window else y).tanh().square().sum()

    assert_same_derivatives(
        ours,
        plain,
        (random_tensor(TASKS, 4, 5, 7, 6), random_tensor(TASKS, 5), random_tensor(TASKS, 5)),
    )


def test_a_weight_of_zero_selects_the_first_of_the_ties():
    x, bias = random_tensor(2, 3, 4, 4), torch.ones(3, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64, requires_grad=True)
    block = Block(1e-5, True, window_of(2))

    def plain(x, weight, bias):
        y = F.batch_norm(x, None, None, weight, bias, True, 0.0, 1e-5)
        return F.max_pool2d(F.relu(y), 2).square().sum()

    found = derivatives(lambda *a: norm_block(*a, block).square().sum(), (x, weight, bias))
    for ours, theirs in zip(found, derivatives(plain, (x, weight, bias)), strict=True):
        torch.testing.assert_close(ours, theirs)
