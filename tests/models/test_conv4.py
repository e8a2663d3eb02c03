"""The network of the MAML paper for pictures has its shapes and its size."""

import pytest
import torch

from fewstep.models.conv4 import conv4


@pytest.mark.parametrize(
    ("channels", "size", "filters", "downsample", "features"),
    [(1, 28, 64, "stride", 64), (1, 28, 64, "max-pool", 64), (3, 84, 32, "max-pool", 800)],
    ids=["Omniglot", "Omniglot with max-pool", "mini-ImageNet"],
)
def test_conv4(channels, size, filters, downsample, features):
    model = conv4(channels, size, 5, filters, downsample)
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 5)
    first = 9 * channels * filters + 3 * filters
    others = 3 * (9 * filters * filters + 3 * filters)
    assert sum(p.numel() for p in model.parameters()) == first + others + features * 5 + 5


def test_conv4_without_batch_norm():
    pictures = torch.rand(2, 1, 28, 28)
    for norm, kind in (("group", torch.nn.GroupNorm), ("none", torch.nn.Identity)):
        model = conv4(1, 28, 5, 12, norm=norm)
        layers = {type(part) for part in model.modules()}
        assert torch.nn.BatchNorm2d not in layers
        assert (kind in layers) == (norm == "group")
        # What is predicted for one picture does not depend on the others.
        torch.testing.assert_close(model(pictures)[:1], model(pictures[:1]))
