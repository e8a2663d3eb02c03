"""ResNet-12 has its shapes and its size, and its meta-gradient is exact in flat memory."""

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError
from fewstep.config.recipes import RECIPES
from fewstep.models.build import network
from fewstep.models.resnet12 import resnet12
from tests.factory import make_tasks
from tests.plain import deviation, plain_meta_gradient
from tests.slopes import relative_error, slopes_of

NARROW = (2, 3, 4, 5)
GLYPHS = RECIPES["glyphs-5way-1shot"].config


def test_it_has_the_size_of_the_papers():
    model = resnet12(3, 5)
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert len(convolutions) == 4 * (3 + 1)
    body = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("6."))
    # 12.4 million, as MetaOptNet's.
    assert body == 12_424_320
    assert model[-1].in_features == 640


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [16, 17, 28, 31, 33, 84])
def test_any_size_and_number_of_channels(channels, size):
    pictures = torch.rand(2, channels, size, size)
    assert resnet12(channels, 7, NARROW)(pictures).shape == (2, 7)


def test_one_block_as_it_is_written_in_the_papers():
    """LeakyReLU before the pooling, as they have it, gives the same numbers."""
    torch.manual_seed(0)
    model, x = resnet12(3, 5, NARROW), torch.randn(2, 3, 20, 20)
    block = model[0]
    expected = nn.functional.leaky_relu(block.body(x) + block.shortcut(x), 0.1)
    assert torch.equal(block(x), nn.functional.max_pool2d(expected, 2))


def test_the_gradient_of_five_steps_is_that_of_a_plain_loop():
    torch.manual_seed(0)
    model, tasks = resnet12(2, 3, NARROW).double(), make_tasks(1, 2, 2, (2, 32, 32))
    _, expected = plain_meta_gradient(model, tasks, 0.01, 5)
    _, found = MAML(model, 0.01, 5, memory="flat").meta_gradient(tasks)
    assert deviation(found, expected) < 1e-10


def test_the_gradient_of_five_steps_is_exact():
    """Without kinks, which five steps would nearly always cross within a difference."""
    torch.manual_seed(0)
    model, tasks = resnet12(2, 3, NARROW), make_tasks(1, 2, 2, (2, 16, 16))
    for block in model[:4]:
        block.end = nn.Sequential(nn.AvgPool2d(2), nn.SiLU())
        block.body[2], block.body[5] = nn.SiLU(), nn.SiLU()
    model.double()
    _, gradient = MAML(model, 0.01, 5, memory="flat").meta_gradient(tasks)
    first = MAML(model, 0.01, 5, order="first")
    slopes = slopes_of(
        lambda: first.meta_gradient(tasks)[0], dict(model.named_parameters()), directions=2
    )
    assert relative_error(gradient, slopes) < 1e-6
    assert relative_error(first.meta_gradient(tasks)[1], slopes) > 1e-3


@pytest.mark.parametrize("sizes", [(0, 5), (3, 0), (3, 5, (4, 0, 4, 4)), (3, 5, ())])
def test_numbers_below_one(sizes):
    with pytest.raises(InputError, match="is 0; expected 1 or more"):
        resnet12(*sizes)


def test_pictures_that_are_too_small_or_not_square():
    config = _config()
    with pytest.raises(InputError, match=r"resnet12 with pictures of 15 pixels; .* 16 or more"):
        network(config, (3, 15, 15), 5)
    with pytest.raises(InputError, match=r"\[3, 16, 20\]; expected as many pixels high as wide"):
        network(config, (3, 16, 20), 5)


def test_a_context_modulates_its_third_block():
    model = network(_config(context=8), (1, 16, 16), 5)
    assert model.modulation.weight.shape == (2 * 320, 8)


def _config(**changes):
    return type(GLYPHS)(**{**vars(GLYPHS), "model": "resnet12", **changes})
