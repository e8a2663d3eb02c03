"""A multi-layer perceptron."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU between them: ``[examples, inputs]`` to ``[examples, outputs]``.

    The MAML paper's network for the sinusoid is ``mlp(1, (40, 40), 1)``.

    Args:
        inputs: Numbers that describe one example.
        hidden: Width of each hidden layer.
        outputs: Numbers predicted for one example.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise((inputs, *hidden)):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear((inputs, *hidden)[-1], outputs))
