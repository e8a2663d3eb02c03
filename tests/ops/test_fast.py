"""Layers whose functions are replaced against PyTorch's, to the second order."""

import pytest
import torch
from torch import nn

from tests.ops.derivatives import TASKS, assert_same_derivatives, call_plain, random_tensor


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d((3, 2), stride=1, padding=1),
        nn.MaxPool2d(2, dilation=2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(1),
        nn.AvgPool2d(2),
        nn.GroupNorm(2, 4, affine=False, dtype=torch.float64),
    ],
    ids=str,
)
def test_layers_of_each_example_alone(layer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 1, dtype=torch.float64), nn.Tanh(), layer)
    assert_same_derivatives(
        lambda x: call_plain(model, {}, x).square().sum(),
        lambda x: model(x).square().sum(),
        (random_tensor(TASKS, 3, 4, 7, 6),),
    )
