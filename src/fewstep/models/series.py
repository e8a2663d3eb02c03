"""Networks for series of rows, ``[examples, window, features]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from fewstep.models.sizes import check_sizes

if TYPE_CHECKING:
    from fewstep.config.schema import Config

KERNEL = 5  # rows that a convolution sees


def conv1d(
    window: int, features: int, outputs: int, layers: int = 2, width: int = 40
) -> nn.Sequential:
    """Convolutions over time, each of which halves the series, and a linear layer.

    From ``[examples, window, features]`` to ``[examples, outputs]``. The linear layer sees what
    came when.

    Args:
        window: Rows of a series.
        features: Numbers of a row.
        outputs: Numbers to predict.
        layers: How many convolutions of 5 rows, with ReLU.
        width: Filters of each.

    >>> import torch
    >>> conv1d(window=50, features=3, outputs=1)(torch.zeros(10, 50, 3)).shape
    torch.Size([10, 1])
    """
    check_sizes(window=window, features=features, outputs=outputs, layers=layers, width=width)
    network = nn.Sequential(_TimeLast())
    for number in range(layers):
        convolution = nn.Conv1d(width if number else features, width, KERNEL, 2, KERNEL // 2)
        network.extend([convolution, nn.ReLU()])
        window = (window + 1) // 2
    return network.extend([nn.Flatten(), nn.Linear(width * window, outputs)])


def lstm(features: int, outputs: int, layers: int = 2, width: int = 40) -> nn.Sequential:
    """``nn.LSTM`` and a linear layer on its last state.

    From ``[examples, window, features]`` to ``[examples, outputs]``, for any window.

    Args:
        features: Numbers of a row.
        outputs: Numbers to predict.
        layers: Of the LSTM, one on another.
        width: Numbers of a state.

    >>> import torch
    >>> lstm(features=3, outputs=1)(torch.zeros(10, 50, 3)).shape
    torch.Size([10, 1])
    """
    return _recurrent(nn.LSTM, features, outputs, layers, width)


def gru(features: int, outputs: int, layers: int = 2, width: int = 40) -> nn.Sequential:
    """``nn.GRU`` and a linear layer on its last state; as `lstm`.

    >>> import torch
    >>> gru(features=3, outputs=1)(torch.zeros(10, 50, 3)).shape
    torch.Size([10, 1])
    """
    return _recurrent(nn.GRU, features, outputs, layers, width)


def conv1d_of(config: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The convolution network of a config."""
    window, features = example_shape
    return conv1d(window, features, outputs, config.layers, config.width)


def lstm_of(config: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The LSTM of a config."""
    return lstm(example_shape[1], outputs, config.layers, config.width)


def gru_of(config: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The GRU of a config."""
    return gru(example_shape[1], outputs, config.layers, config.width)


def _recurrent(
    kind: type[nn.LSTM] | type[nn.GRU], features: int, outputs: int, layers: int, width: int
) -> nn.Sequential:
    check_sizes(features=features, outputs=outputs, layers=layers, width=width)
    last_state = _LastState(kind(features, width, layers, batch_first=True))
    return nn.Sequential(last_state, nn.Linear(width, outputs))


class _LastState(nn.Module):
    """Returns a recurrent layer's last state, ``[examples, width]``."""

    treats_examples_alone = True

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.layer(x)[0]
        return states[:, -1]


class _TimeLast(nn.Module):
    """Returns ``[examples, features, window]``."""

    treats_examples_alone = True

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)
