"""Sinusoid regression, the toy problem of the MAML paper (section 5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.draws import generator
from fewstep.data.source import SPLITS, TaskSource, TaskSpec
from fewstep.tasks import TaskBatch

BLOCK = 1000  # tasks whose numbers are drawn together: one by one takes as long as learning


@dataclass(frozen=True)
class SinusoidSampler(TaskSource):
    """Draws tasks y = A sin(x - phase); task number i is always the same task.

    The amplitude A is uniform in [0.1, 5], the phase in [0, pi], x in [-5, 5]. A task has
    ``k_shot`` support and ``q_query`` query points; another seed or split gives other tasks.

    >>> SinusoidSampler(k_shot=5, q_query=10).batch(range(25)).support_y.shape
    torch.Size([25, 5, 1])
    """

    k_shot: int
    q_query: int
    seed: int = 0
    split: Split = "train"

    @property
    def spec(self) -> TaskSpec:
        """One number an example, and one to predict."""
        return TaskSpec.regression((1,))

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers: every tensor is ``float32 [tasks, points, 1]``."""
        waves = np.concatenate([self._run(first, end) for first, end in _runs(indices)])
        k = self.k_shot
        parts = waves[:, 0, :k], waves[:, 1, :k], waves[:, 0, k:], waves[:, 1, k:]
        return TaskBatch(*map(torch.from_numpy, parts))

    def _run(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """Tasks that follow one another within a block: ``[tasks, 2, points, 1]``."""
        block, place = divmod(first, BLOCK)
        waves = _waves(self.seed, self.split, block, self.k_shot + self.q_query)
        return waves[place : place + end - first]


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """The first number, and the one after the last, of each run within a block."""
    in_order = isinstance(indices, range) and indices.step == 1 and len(indices) > 0
    if in_order and indices[0] // BLOCK == indices[-1] // BLOCK:
        # What training asks for; to look at each task would take too long there.
        return [(indices[0], indices[-1] + 1)]
    return [(index, index + 1) for index in indices]


@lru_cache(maxsize=16)
def _waves(seed: int, split: Split, block: int, points: int) -> npt.NDArray[np.float32]:
    """``[tasks of the block, 2, points, 1]``: x and y."""
    random = generator(seed, split, block)
    amplitude = random.uniform(0.1, 5.0, (BLOCK, 1, 1))
    phase = random.uniform(0.0, np.pi, (BLOCK, 1, 1))
    x = random.uniform(-5.0, 5.0, (BLOCK, points, 1))
    return np.stack([x, amplitude * np.sin(x - phase)], 1).astype(np.float32)


def sources(config: Config, _: Path | None) -> dict[Split, TaskSource]:
    """The waves of each split."""
    return {split: SinusoidSampler(*config.shots(split), config.seed, split) for split in SPLITS}
