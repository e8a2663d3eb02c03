"""A multi-layer perceptron, with embeddings of categories."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from fewstep.config.schema import Config


LEVELS, WIDEST = 4, 8  # categories of fewer levels stay as they are; the longest embedding


def mlp(
    inputs: int, hidden: Sequence[int], outputs: int, categories: Sequence[int] = ()
) -> nn.Sequential:
    """Linear layers with ReLU between them: ``[examples, inputs]`` to ``[examples, outputs]``.

    Args:
        inputs: Numbers of an example.
        hidden: Width of each hidden layer; a linear model if there is none.
        outputs: Numbers to predict.
        categories: Sizes of the blocks of an example, at its end, that tell a category by a one
            among zeros. Under a hidden layer, a block of n levels becomes an embedding of half as
            many numbers and at most 8; one of 2 or 3 levels stays as it is.

    >>> import torch
    >>> mlp(1, (40, 40), 1)(torch.zeros(10, 1)).shape
    torch.Size([10, 1])
    >>> mlp(3 + 50 + 2, (40,), 1, categories=(50, 2))[1]
    Linear(in_features=13, out_features=40, bias=True)
    """
    network = nn.Sequential()
    if hidden and max(categories, default=0) >= LEVELS:
        embeddings = Embeddings(categories)
        network.add_module("embeddings", embeddings)
        inputs += embeddings.gained
    widths = inputs, *hidden
    # The linear layers keep the names that they have without embeddings.
    for number, (width_in, width_out) in enumerate(pairwise(widths)):
        network.add_module(str(2 * number), nn.Linear(width_in, width_out))
        network.add_module(str(2 * number + 1), nn.ReLU())
    network.add_module(str(2 * len(hidden)), nn.Linear(widths[-1], outputs))
    return network


class Embeddings(nn.Module):
    """Replaces the blocks at the end of ``[examples, features]`` by embeddings of them.

    A block that tells a category by a one among zeros, times a matrix, is a row of the matrix.
    """

    treats_examples_alone = True

    def __init__(self, categories: Sequence[int]) -> None:
        super().__init__()
        self.categories = tuple(categories)
        wide = {str(i): n for i, n in enumerate(categories) if n >= LEVELS}
        widths = {name: min(WIDEST, (n + 1) // 2) for name, n in wide.items()}
        self.gained = sum(widths.values()) - sum(wide.values())
        self.weights = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(n, widths[name])) for name, n in wide.items()}
        )

    def forward(self, x: Tensor) -> Tensor:
        """The examples with embeddings, ``[examples, features + gained]``."""
        numbers = x.shape[-1] - sum(self.categories)
        first, *blocks = torch.split(x, [numbers, *self.categories], -1)
        embedded = [
            block @ self.weights[str(i)] if str(i) in self.weights else block
            for i, block in enumerate(blocks)
        ]
        return torch.cat([first, *embedded], -1)


def from_config(
    config: Config, example_shape: tuple[int, ...], outputs: int, categories: Sequence[int] = ()
) -> nn.Module:
    """The network of a config, for rows of any width; by default the MAML paper's."""
    return mlp(example_shape[0], (config.width,) * config.layers, outputs, categories)
