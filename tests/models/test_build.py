"""A network has the shape of the examples, whatever the data set."""

from dataclasses import replace

import pytest
import torch

from fewstep import InputError
from fewstep.config.recipes import RECIPES
from fewstep.models.build import network

GLYPHS, SINUSOID = RECIPES["glyphs-5way-1shot"].config, RECIPES["sinusoid"].config


@pytest.mark.parametrize("context", [0, 8])
@pytest.mark.parametrize("downsample", ["stride", "max-pool"])
def test_pictures_of_any_size(downsample, context):
    config = replace(GLYPHS, downsample=downsample, context=context)
    model = network(config, (3, 40, 40), 7)
    assert model(torch.rand(2, 3, 40, 40)).shape == (2, 7)


@pytest.mark.parametrize("context", [0, 8])
def test_rows_of_any_width(context):
    model = network(replace(SINUSOID, context=context), (6,), 3)
    assert model(torch.rand(2, 6)).shape == (2, 3)


@pytest.mark.parametrize(
    ("config", "shape", "told"),
    [
        (GLYPHS, (6,), r"conv4 with examples of \[6\]; expected pictures, \[channels, height"),
        (SINUSOID, (1, 8, 8), r"mlp with examples of \[1, 8, 8\]; expected rows, \[features\]"),
        (replace(GLYPHS, downsample="max-pool"), (1, 8, 8), "size is 8; max-pool halves"),
        (GLYPHS, (3, 32, 48), r"pictures are \[3, 32, 48\]; expected as many pixels high as wide"),
    ],
)
def test_examples_that_a_network_does_not_take(config, shape, told):
    with pytest.raises(InputError, match=told):
        network(config, shape, 5)
