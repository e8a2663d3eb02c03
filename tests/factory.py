"""The one factory of the tests: random tasks, and the small networks that they are for."""

from dataclasses import replace

import torch
from torch import nn

from fewstep import TaskBatch


def make_tasks(
    number=3, shots=2, queries=2, shape=(4,), *, ways=3, seed=0, dtype=torch.float64
) -> TaskBatch:
    """Tasks of normal random examples, whose labels are 0, 1, ... in turn.

    Args:
        number: How many tasks.
        shots: Support examples of each class.
        queries: Query examples of each class.
        shape: Of one example.
        ways: Classes of each task.
        seed: Of the examples.
        dtype: Of the examples.
    """
    generator = torch.Generator().manual_seed(seed)

    def x(examples):
        full = (number, examples * ways, *shape)
        return torch.randn(full, generator=generator, dtype=dtype)

    def y(examples):
        return torch.arange(ways).repeat(number, examples)

    return TaskBatch(x(shots), y(shots), x(queries), y(queries))


def make_pictures(number=3, shots=1, queries=2, *, seed=0, dtype=torch.float32) -> TaskBatch:
    """Tasks for `cnn`, whose query pictures are brighter and have more contrast than the others."""
    tasks = make_tasks(number, shots, queries, (1, 4, 4), seed=seed, dtype=dtype)
    return replace(tasks, query_x=2 * tasks.query_x + 1)


def mlp(middle=None, *, inputs=4, hidden=6, outputs=3, dtype=torch.float64) -> nn.Sequential:
    """Two linear layers; between them a tanh, unless something else is given."""
    torch.manual_seed(0)
    layers = (nn.Linear(inputs, hidden), middle or nn.Tanh(), nn.Linear(hidden, outputs))
    return nn.Sequential(*layers).to(dtype)


def cnn(*middle, tracks=True, dtype=torch.float32) -> nn.Sequential:
    """A convolution with batch norm and a linear layer, for pictures of 4x4 and three classes.

    Args:
        middle: What follows batch norm; a ReLU unless given.
        tracks: Whether batch norm keeps running statistics.
        dtype: Of the parameters.
    """
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4, track_running_stats=tracks),
        *(middle or (nn.ReLU(),)),
        nn.Flatten(),
        nn.Linear(64, 3),
    ).to(dtype)
