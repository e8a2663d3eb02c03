"""A multi-layer perceptron."""

from itertools import pairwise

from torch import nn

from fewstep.config.schema import Config


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU between them: ``[examples, inputs]`` to ``[examples, outputs]``.

    >>> import torch
    >>> mlp(1, (40, 40), 1)(torch.zeros(10, 1)).shape
    torch.Size([10, 1])
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise((inputs, *hidden)):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear((inputs, *hidden)[-1], outputs))


def from_config(_: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The MAML paper's network for the sinusoid, for rows of any width."""
    return mlp(example_shape[0], (40, 40), outputs)
