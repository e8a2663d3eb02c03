"""Workloads: models, tasks and settings of the literature, the same for every library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep import TaskBatch
from fewstep.models.conv4 import conv4
from fewstep.models.mlp import mlp


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    Attributes:
        name: W1, W2, ...
        text: What it is, in words.
        model: Builds the network.
        shape: Of one example.
        ways: Classes of a task; 0 in a regression.
        shots: Support examples of each class.
        queries: Query examples of each class.
        tasks: Of an outer step.
        steps: Inner steps.
        lr: Inner step size.
        attention: Whether the model has any.
        recurrent: Whether it is a recurrent network.
    """

    name: str
    text: str
    model: Callable[[], nn.Module]
    shape: tuple[int, ...]
    ways: int
    shots: int
    queries: int
    tasks: int
    steps: int
    lr: float
    attention: bool = False
    recurrent: bool = False

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Of support and query."""
        return F.cross_entropy if self.ways else F.mse_loss

    def build(self, dtype: torch.dtype) -> nn.Module:
        """The network with the same initial weights every time."""
        torch.manual_seed(0)
        return self.model().to(dtype)

    def batch(self, dtype: torch.dtype) -> TaskBatch:
        """Random tasks, the same every time; what is computed does not depend on their meaning."""
        random = torch.Generator().manual_seed(1)

        def x(examples: int) -> Tensor:
            shape = (self.tasks, examples * max(self.ways, 1), *self.shape)
            return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

        def y(examples: int) -> Tensor:
            if self.ways:
                return torch.arange(self.ways).repeat_interleave(examples).repeat(self.tasks, 1)
            shape = (self.tasks, examples, 1)
            return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

        return TaskBatch(x(self.shots), y(self.shots), x(self.queries), y(self.queries))


def max_pool_conv4(channels: int, size: int, ways: int, filters: int) -> nn.Module:
    """Without running statistics, which not every library can carry along."""
    network = conv4(channels, size, ways, filters, "max-pool")
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
    return network


class Sequences(nn.Module):
    """Two transformer encoder layers over sequences of 32 vectors, averaged, and a linear layer."""

    def __init__(self, width: int = 64, ways: int = 5) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 128, dropout=0.0, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, ways)

    def forward(self, x: Tensor) -> Tensor:
        """``[examples, 32, width]`` to ``[examples, ways]``."""
        result: Tensor = self.head(self.body(x).mean(1))
        return result


class LastState(nn.Module):
    """A recurrent layer over sequences of vectors, and a linear layer on its last state."""

    def __init__(self, kind: type[nn.RNNBase], width: int = 64, ways: int = 5) -> None:
        super().__init__()
        self.body = kind(16, width, batch_first=True)
        self.head = nn.Linear(width, ways)

    def forward(self, x: Tensor) -> Tensor:
        """``[examples, 50, 16]`` to ``[examples, ways]``."""
        result: Tensor = self.head(self.body(x)[0][:, -1])
        return result


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            *("W1", "Omniglot 5-way 1-shot, Conv-4-64 max-pool, 32 tasks, 1 step"),
            *(lambda: max_pool_conv4(1, 28, 5, 64), (1, 28, 28), 5, 1, 1, 32, 1, 0.4),
        ),
        Workload(
            *("W2", "Omniglot 20-way 1-shot, Conv-4-64 max-pool, 8 tasks, 5 steps"),
            *(lambda: max_pool_conv4(1, 28, 20, 64), (1, 28, 28), 20, 1, 1, 8, 5, 0.1),
        ),
        Workload(
            *("W3", "84x84x3 5-way 1-shot 15-query, Conv-4-32, 4 tasks, 5 steps"),
            *(lambda: max_pool_conv4(3, 84, 5, 32), (3, 84, 84), 5, 1, 15, 4, 5, 0.01),
        ),
        Workload(
            *("W4", "sinusoid MLP 40-40, 10-shot, 25 tasks, 1 step"),
            *(lambda: mlp(1, (40, 40), 1), (1,), 0, 10, 10, 25, 1, 0.01),
        ),
        Workload(
            *("W5", "2-layer transformer encoder, sequences of 32, 8 tasks, 3 steps"),
            *(Sequences, (32, 64), 5, 1, 5, 8, 3, 0.01, True),
        ),
    )
}
RECURRENT = {
    kind.__name__: Workload(
        *(kind.__name__, f"{kind.__name__} of 64, sequences of 50, 8 tasks, 3 steps"),
        *(partial(LastState, kind), (50, 16), 5, 5, 5, 8, 3, 0.5, False, True),
    )
    for kind in (nn.LSTM, nn.GRU)
}
"""Not of the table; cuDNN's layers have no second derivative."""
