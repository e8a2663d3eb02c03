"""A multi-layer perceptron."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from fewstep.config.schema import Config
from fewstep.errors import InputError

HIDDEN = (40, 40)
"""Width of each hidden layer in a recipe: the MAML paper's for the sinusoid."""


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU between them: ``[examples, inputs]`` to ``[examples, outputs]``.

    Args:
        inputs: Numbers that describe one example.
        hidden: Width of each hidden layer.
        outputs: Numbers predicted for one example.

    >>> import torch
    >>> mlp(1, (40, 40), 1)(torch.zeros(10, 1)).shape
    torch.Size([10, 1])
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise((inputs, *hidden)):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear((inputs, *hidden)[-1], outputs))


def from_config(
    _: Config, example_shape: tuple[int, ...], outputs: int
) -> tuple[nn.Module, str, int]:
    """The network for a data set, and its first layer with the width of that, to be modulated."""
    if len(example_shape) != 1:
        raise InputError(
            f"model mlp with examples of {list(example_shape)}; expected rows of numbers, "
            "[features]"
        )
    return mlp(example_shape[0], HIDDEN, outputs), "0", HIDDEN[0]
