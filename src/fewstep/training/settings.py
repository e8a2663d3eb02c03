"""Settings of the outer loop, and how a run directory knows them again."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewstep.choices import Norm

SHARED = ("steps", "val_every", "val_tasks", "patience", "checkpoint_every", "seed", "ema_decay")


@dataclass(frozen=True)
class OuterSettings:
    """Settings of the outer loop; those named as arguments of `fewstep.fit` mean the same."""

    steps: int
    val_every: int
    val_tasks: int
    val_steps: int
    patience: int
    checkpoint_every: int
    seed: int
    ema_decay: float
    larger_is_better: bool
    remedy: str  # for a loss that is not finite, in words
    digest: str  # of all that decides what an outer step does
    recorded: dict[str, Any]  # all settings as JSON values, for ``config.json``
    decisive: Collection[str]  # names of those that may not differ when a run goes on
    read: Callable[[Path], dict[str, Any]]  # the settings that a ``config.json`` tells
    norm: Norm | None = None  # in validation; the learner's own choice where None
    lr: Callable[[int], float] | None = None  # by outer step; the optimiser's own where None
    val_ways: int | None = None  # in validation; those of the learner where None
    top: int = 0  # the best checkpoints that are kept beside the one best
