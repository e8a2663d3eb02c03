"""Settings of the outer loop, and how a run directory knows them again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewstep.choices import Norm


@dataclass(frozen=True)
class OuterSettings:
    """Everything that the outer loop does by, but for the learner, its optimiser and the tasks.

    Attributes named as arguments of `fewstep.fit` mean the same.

    Attributes:
        norm: Which statistics batch norm uses in validation; the learner's own choice where None.
        lr: The optimiser's step size by outer step; its own where None.
        remedy: For a loss that is not finite, in words.
        digest: Of all that decides what an outer step does.
        recorded: All settings as JSON values, for ``config.json``.
        decisive: Those that may not differ when a run goes on.
        read: The settings that a ``config.json`` tells.
    """

    steps: int
    val_every: int
    val_tasks: int
    val_steps: int
    norm: Norm | None
    patience: int
    checkpoint_every: int
    seed: int
    ema_decay: float
    larger_is_better: bool
    lr: Callable[[int], float] | None
    remedy: str
    digest: str
    recorded: dict[str, Any]
    decisive: Collection[str]
    read: Callable[[Path], dict[str, Any]]
