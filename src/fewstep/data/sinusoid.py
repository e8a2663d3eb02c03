"""Sinusoid regression, the toy problem of the MAML paper (section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fewstep.data.episodes import Split, generator
from fewstep.errors import InputError
from fewstep.tasks import TaskBatch


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
        waves = [self._wave(generator(self.seed, self.split, index)) for index in indices]
        x, y = torch.tensor(np.stack(waves), dtype=torch.float32).unbind(1)
        k = self.k_shot
        return TaskBatch(x[:, :k], y[:, :k], x[:, k:], y[:, k:])

    def _wave(self, random: np.random.Generator) -> np.ndarray:
        """``[2, points, 1]``: x and y."""
        amplitude, phase = random.uniform(0.1, 5.0), random.uniform(0.0, np.pi)
        x = random.uniform(-5.0, 5.0, (self.k_shot + self.q_query, 1))
        return np.stack([x, amplitude * np.sin(x - phase)])
