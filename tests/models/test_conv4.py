"""The network of the MAML paper for pictures has its shapes and its size."""

import pytest
import torch

from fewstep import InputError
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


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("downsample", ["stride", "max-pool"])
def test_any_size_and_number_of_channels(channels, downsample):
    for size in (1, 2, 5, 15, 16, 17, 31, 33, 84, 127, 224):
        if downsample == "max-pool" and size < 16:
            continue
        model = conv4(channels, size, 2, 2, downsample)
        assert model(torch.zeros(2, channels, size, size)).shape == (2, 2)


@pytest.mark.parametrize("size", range(1, 16))
def test_too_small_for_max_pool(size):
    with pytest.raises(InputError, match=f"size is {size}; max-pool halves .* 16 or more"):
        conv4(1, size, 5, downsample="max-pool")


@pytest.mark.parametrize("name", ["channels", "size", "ways", "filters"])
@pytest.mark.parametrize("number", [0, -3])
def test_numbers_below_one(name, number):
    sizes = {"channels": 1, "size": 28, "ways": 5, "filters": 4, name: number}
    with pytest.raises(InputError, match=f"^{name} is {number}; expected 1 or more$"):
        conv4(**sizes)


@pytest.mark.parametrize("name", ["channels", "size", "ways", "filters"])
@pytest.mark.parametrize("number", [2.5, 28.0, True, "5", None])
def test_numbers_that_are_not_whole(name, number):
    sizes = {"channels": 1, "size": 28, "ways": 5, "filters": 4, name: number}
    with pytest.raises(InputError, match=f"^{name} is {number!r}, a .*; expected a whole number$"):
        conv4(**sizes)
