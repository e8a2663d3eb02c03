"""Sinusoid regression, the toy problem of the MAML paper (section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from fewstep.data.episodes import Split, generator
from fewstep.errors import InputError
from fewstep.tasks import TaskBatch

BLOCK = 1000
"""Tasks whose numbers are drawn together: one by one takes as long as learning from them."""


@dataclass(frozen=True)
class SinusoidSampler:
    """Draws tasks y = A sin(x - phase); task number i is always the same task.

    The amplitude A is uniform in [0.1, 5], the phase in [0, pi], x in [-5, 5].

    Attributes:
        k_shot: Support points of a task.
        q_query: Query points of a task.
        seed: Of the tasks.
        split: Another split gives other tasks for the same seed.

    Raises:
        InputError: ``k_shot`` or ``q_query`` is less than 1.
    """

    k_shot: int
    q_query: int
    seed: int = 0
    split: Split = "train"

    def __post_init__(self) -> None:
        for name in ("k_shot", "q_query"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected 1 or more")

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers: every tensor is ``float32 [tasks, points, 1]``."""
        blocks, places = np.divmod(np.asarray(indices), BLOCK)
        points = self.k_shot + self.q_query
        waves = np.empty((len(blocks), 2, points, 1), np.float32)
        for block in set(blocks.tolist()):
            here = blocks == block
            waves[here] = _waves(self.seed, self.split, block, points)[places[here]]
        x, y = torch.from_numpy(waves).unbind(1)
        k = self.k_shot
        return TaskBatch(x[:, :k], y[:, :k], x[:, k:], y[:, k:])


@lru_cache(maxsize=16)
def _waves(seed: int, split: Split, block: int, points: int) -> npt.NDArray[np.float32]:
    """``[tasks of the block, 2, points, 1]``: x and y."""
    random = generator(seed, split, block)
    amplitude = random.uniform(0.1, 5.0, (BLOCK, 1, 1))
    phase = random.uniform(0.0, np.pi, (BLOCK, 1, 1))
    x = random.uniform(-5.0, 5.0, (BLOCK, points, 1))
    return np.stack([x, amplitude * np.sin(x - phase)], 1).astype(np.float32)
