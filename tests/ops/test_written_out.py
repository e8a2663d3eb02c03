"""Layers written out for a compiler: values and two derivatives, for many tasks at once."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import vmap

from fewstep.ops import unfolded_conv, written_out

TASKS = 3


def _derivatives(layer, *tensors):
    """The result, its gradients, and the gradients of those."""
    result = vmap(layer)(*tensors)
    first = torch.autograd.grad(result.tanh().square().sum(), tensors, create_graph=True)
    second = torch.autograd.grad(sum(g.sin().sum() for g in first), tensors)
    return [result, *first, *second]


def _random(*shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(TASKS, *shape, generator=generator, dtype=torch.float64)
    return x.requires_grad_()


def _compare(found, expected, *tensors):
    pairs = zip(_derivatives(found, *tensors), _derivatives(expected, *tensors), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((3, 3), {"padding": 1}),
        ((3, 3), {"stride": 2, "padding": 1}),
        ((3, 2), {"padding": "same", "dilation": 2}),
        ((2, 5), {"stride": 2, "padding": (0, 2), "dilation": (2, 1)}),
        ((1, 1), {}),
        ((3, 3), {"stride": (3, 2), "padding": "valid"}),
    ],
)
@pytest.mark.parametrize("rows", [128, 8])
def test_convolution(monkeypatch, size, settings, rows):
    """In one piece, and with the rows of a task cut into several."""
    monkeypatch.setattr(unfolded_conv, "SHORTEST_SUM", rows)
    x, weight, bias = _random(4, 2, 9, 11), _random(5, 2, *size), _random(5)
    _compare(
        lambda *given: unfolded_conv.conv2d(*given, **settings),
        lambda *given: F.conv2d(*given, **settings),
        *(x, weight, bias),
    )


@pytest.mark.parametrize("settings", [{}, {"stride": 2, "padding": 1}, {"padding": "same"}])
def test_convolution_of_signals(settings):
    _compare(
        lambda *given: unfolded_conv.conv1d(*given, **settings),
        lambda *given: F.conv1d(*given, **settings),
        *(_random(4, 2, 9), _random(5, 2, 3), _random(5)),
    )


@pytest.mark.parametrize(
    "window", [(2,), ((2, 3),), (3, 2, 1), (2, 1), (3, 1, 1, 2), (5,), (2, 2, 0, 1, True)]
)
def test_max_pooling_of_equal_numbers(window):
    """Of several that are largest the first has the gradient."""
    x = _random(4, 2, 9, 11).detach().round().requires_grad_()
    _compare(
        lambda x: written_out.max_pool2d(x.tanh(), *window),
        lambda x: F.max_pool2d(x.tanh(), *window),
        x,
    )


def test_norms():
    x, weight, bias = _random(4, 6, 3, 2), _random(6), _random(6)
    for ours, theirs, groups in (
        (written_out.group_norm, F.group_norm, 3),
        (written_out.layer_norm, F.layer_norm, (3, 2)),
    ):
        wide = (weight, bias) if groups == 3 else (_random(3, 2), _random(3, 2))
        _compare(
            lambda x, w, b, ours=ours, groups=groups: ours(x, groups, w, b),
            lambda x, w, b, theirs=theirs, groups=groups: theirs(x, groups, w, b),
            *(x, *wide),
        )
    _compare(
        lambda x, w, b: written_out.instance_norm(x, None, None, w, b),
        lambda x, w, b: F.group_norm(x, 6, w, b),
        *(x, weight, bias),
    )
