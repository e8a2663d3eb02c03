"""Convolutions against PyTorch's, to the second order."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.ops.derivatives import TASKS, assert_same_derivatives, call_plain, random_tensor

CONVOLUTIONS = [
    {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
    for stride, padding, dilation, groups, bias in itertools.chain(
        itertools.product((1, 2), (0, 1), (1, 2), (1, 2), (True, False)),
        [((1, 2), (0, 1), (2, 1), 1, True), (1, "same", 1, 1, True)],
    )
]


@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=str)
def test_convolution(settings):
    """Through a module, so that what stands in is what a user's model gets."""
    torch.manual_seed(0)
    model = nn.Conv2d(2, 4, 3, **settings).double()
    names = [name for name, _ in model.named_parameters()]
    stacked = [torch.stack([p.detach() + i for i in range(TASKS)]) for p in model.parameters()]
    arguments = (random_tensor(TASKS, 3, 2, 7, 6), *(p.requires_grad_() for p in stacked))

    def ours(x, *params):
        return call_plain(model, dict(zip(names, params, strict=True)), x).tanh().sum()

    def plain(x, weight, bias=None):
        where = [settings[name] for name in ("stride", "padding", "dilation", "groups")]
        return F.conv2d(x, weight, bias, *where).tanh().sum()

    assert_same_derivatives(ours, plain, arguments)
