"""Measurements that a diagnosis rests on."""

import math
import statistics
import sys
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

from fewstep.choices import Norm
from fewstep.data.tables.tasks import TableTasks
from fewstep.evaluation.evaluate import evaluate_tasks, interval
from fewstep.evaluation.figures import Figures, Trend, Worsened
from fewstep.evaluation.remedies import settings_of
from fewstep.evaluation.task_sets import TaskSet, task_batches
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.protomaml import ProtoMAML

TASKS = 100
"""The most tasks of a split that are measured on."""
OUTER_STEPS = 100
"""The outer steps whose gradients are looked at."""
VALIDATIONS = 8
"""With fewer validations it is the training that tells whether it was at a plateau."""
AFTER = 5
"""With fewer validations after the best one they do not tell how much they fluctuate."""


def measure(
    learner: Learner,
    training: TaskSet | None,
    validation: TaskSet,
    steps: int,
    norm: Norm | None,
    tasks: int,
    *,
    larger_is_better: bool,
    metrics: Sequence[dict[str, Any]] = (),
    kept_at: int = 0,
    planned: int | None = None,
    settings: Set[str] = frozenset(),
) -> Figures:
    """Measure the figures of a learner on up to `TASKS` tasks of each split.

    Those of ``training`` have the size of those of validation. ``metrics``, the lines of
    ``metrics.jsonl``, tell how the training went; this initialisation was kept after outer step
    ``kept_at``. ``planned`` is given where the training has not come to its end,
    and ``settings`` are those of the network and the tasks that may be advised to change.
    """
    tasks = min(tasks, TASKS)
    on_validation = evaluate_tasks(learner, validation, tasks, steps, norm)
    losses, scores = on_validation.losses, on_validation.scores
    # Tasks whose query set is their support set tell what adaptation does to the support loss.
    on_support = (
        replace(
            batch,
            query_x=batch.support_x,
            query_y=batch.support_y,
            query_sizes=batch.support_sizes,
        )
        for batch in task_batches(validation, tasks)
    )
    again = evaluate_tasks(learner, on_support, tasks, steps, norm).losses
    seen = scores[:0]
    if training is not None:
        seen = evaluate_tasks(learner, training, tasks, steps, norm).scores
    lengths = _told(metrics, "train/gradient_norm", kept_at)[-OUTER_STEPS:]
    named = _told(metrics, "train/score", kept_at)[-OUTER_STEPS:]
    # Of ordinary training; all others train on tasks.
    classes = learner.classes if isinstance(learner, FineTune) else None
    # A table's models are compared with it, and it is no rival of itself.
    of_table = isinstance(validation, TableTasks) and not isinstance(learner, FineTune)
    pooled = {"pooled"} if of_table else set()
    return Figures(
        score=next(iter(on_validation.metrics)),
        larger_is_better=larger_is_better,
        training=seen[:, -1].mean().item() if len(seen) else None,
        training_ci95=interval(seen[:, -1]).item() if len(seen) else None,
        validation=scores[:, -1].mean().item(),
        validation_ci95=interval(scores[:, -1]).item(),
        # From prototypes, much is solved before the first step.
        before=None if isinstance(learner, ProtoMAML) else scores[:, 0].mean().item(),
        gain_ci95=interval(scores[:, -1] - scores[:, 0]).item(),
        support_loss_before=again[:, 0].mean().item(),
        support_loss_after=again[:, -1].mean().item(),
        # A loss that is not a number is worse than any.
        worse=(~(losses[:, -1] <= losses[:, 0])).float().mean().item(),
        gradient_norm=statistics.median(lengths) if lengths else None,
        gradient_peak=max(lengths, default=None),
        tasks=len(losses),
        pretraining=statistics.median(named) if classes and named else None,
        classes=classes,
        trained=metrics[-1]["step"] if metrics else None,
        planned=planned,
        trend=None if classes else _trend(metrics),
        worsened=_worsened(metrics, kept_at),
        settings=frozenset({*settings, *settings_of(learner), *pooled}),
    )


def _trend(metrics: Sequence[dict[str, Any]]) -> Trend | None:
    """The first metric in the last quarter of a training and in the quarter before."""
    validations = _told(metrics, "val/score")
    by_validation = len(validations) >= VALIDATIONS
    scores = validations if by_validation else _told(metrics, "train/score")
    quarter = len(scores) // 4
    if quarter < VALIDATIONS // 4:
        return None
    before, after = scores[-2 * quarter : -quarter], scores[-quarter:]
    noise = sum(statistics.variance(part) / quarter for part in (before, after)) ** 0.5
    split = "validation" if by_validation else "training"
    return Trend(split, statistics.fmean(before), statistics.fmean(after), noise)


def _worsened(metrics: Sequence[dict[str, Any]], kept_at: int) -> Worsened | None:
    """How the first metric of validation is off its best at the end."""
    name = "val/score"
    scores = {line["step"]: told[0] for line in metrics if (told := _told([line], name))}
    after = [score for step, score in scores.items() if step > kept_at]
    if kept_at not in scores or len(after) < AFTER:
        return None
    # Neighbours are alike by the moving average, and their mean change is a trend.
    changes = ([b - a for a, b in zip(after, after[lag:], strict=False)] for lag in (1, 2))
    late = after[-max(2, len(scores) // 4) :]
    noise = max(statistics.variance(each) / 2 for each in changes) ** 0.5
    return Worsened(kept_at, max(scores), scores[kept_at], statistics.fmean(late), noise)


def _told(metrics: Sequence[dict[str, Any]], name: str, until: float = math.inf) -> list[float]:
    """A figure of the outer steps up to a given one, where it is a number that a float can hold."""
    values = (line.get(name) for line in metrics if line["step"] <= until)
    numbers = (value for value in values if isinstance(value, int | float))
    return [float(value) for value in numbers if abs(value) <= sys.float_info.max]
