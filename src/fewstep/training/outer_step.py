"""One outer step: lines 4 to 10 of MAML's Algorithm 2."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch

from fewstep.learners.base import Learner
from fewstep.learners.divergence import DivergedError
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
    """Take the outer step that the state has come to, on tasks of these numbers.

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
        raise NotFiniteError(f"{error.what}{task} of outer step {step + 1}") from error
    losses = result.query.losses
    norm = float(torch.stack([g.norm() for g in result.gradient.values()]).norm())
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        where = f"in task {numbers[int(bad[0])]} of outer step {step + 1}"
        raise NotFiniteError(f"the loss is {losses[bad[0]].item()} {where}")
    if not math.isfinite(norm):
        where = f"in tasks {numbers[0]} to {numbers[-1]} of outer step {step + 1}"
        raise NotFiniteError(f"the gradient is {norm} {where}")
    state.descend(result.gradient, settings.lr(step) if settings.lr else None)
    learner.update_statistics(result.statistics or {})
    state.average_in()
    state.progress.step = step + 1
    loss, score = losses.mean().item(), result.query.scores.mean().item()
    return {"train/loss": loss, "train/score": score, "train/gradient_norm": norm}
