"""One outer step: lines 4 to 10 of MAML's Algorithm 2."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import replace

import torch

from fewstep.execution.executor import MetaGradient
from fewstep.learners.base import Learner
from fewstep.learners.divergence import DivergedError
from fewstep.learners.meta_parameters import move_statistics
from fewstep.tasks import TaskBatch
from fewstep.training.reporter import Figures
from fewstep.training.settings import OuterSettings
from fewstep.training.state import State


class NotFiniteError(Exception):
    """A loss or a gradient is not finite; the message says which and where."""


def outer_step(
    learner: Learner,
    state: State,
    settings: OuterSettings,
    numbers: Sequence[int],
    batch: TaskBatch,
) -> Figures:
    """Take one outer step, and move the average.

    Args:
        learner: Its parameters are changed.
        state: Of the outer loop; its progress says which step this is.
        settings: Of the outer loop.
        numbers: Of the tasks, for messages.
        batch: The tasks.

    Returns:
        Loss, first metric and length of the gradient.

    Raises:
        NotFiniteError: Nothing was changed.
    """
    step = state.progress.step
    # Random layers depend on the step alone, so that a resumed run draws what this one drew.
    torch.manual_seed(zlib.crc32(f"{settings.seed}/{step}".encode()))
    try:
        result = learner.differentiate(batch, step)
    except DivergedError as error:
        task = "" if error.task is None else f" in task {numbers[error.task]}"
        raise NotFiniteError(f"{error.what}{task}") from error
    norm = float(torch.stack([g.norm() for g in result.gradient.values()]).norm())
    _check_finite(result, norm, numbers)
    state.descend(result.gradient, settings.lr(step) if settings.lr else None)
    move_statistics(state.parameters, result.statistics or {})
    state.average_in(settings.ema_decay)
    state.progress = replace(state.progress, step=step + 1)
    loss, score = result.query.losses.mean().item(), result.query.scores.mean().item()
    return {"train/loss": loss, "train/score": score, "train/gradient_norm": norm}


def _check_finite(result: MetaGradient, norm: float, numbers: Sequence[int]) -> None:
    losses = result.query.losses
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        raise NotFiniteError(f"the loss is {losses[bad[0]].item()} in task {numbers[int(bad[0])]}")
    if not math.isfinite(norm):
        raise NotFiniteError(f"the gradient is {norm} in tasks {numbers[0]} to {numbers[-1]}")
