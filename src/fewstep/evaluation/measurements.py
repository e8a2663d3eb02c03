"""What a diagnosis rests on, measured on a run."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fewstep.data.source import Sampler
from fewstep.distributed.parallel import Parallel
from fewstep.evaluation.diagnosis import Figures
from fewstep.evaluation.evaluate import interval, judge_each
from fewstep.functional.call import Norm
from fewstep.learners.base import Evaluation, Learner
from fewstep.learners.finetune import FineTune
from fewstep.tasks import TaskBatch
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run

TASKS = 100
"""The most tasks of a split that an examination takes."""
OUTER_STEPS = 100
"""The outer steps whose gradients it looks at."""


def examine(run: Run, run_dir: RunDir, steps: int, norm: Norm, tasks: int) -> Figures:
    """Measure the figures of a run.

    Args:
        run: The learner, and tasks of training and validation classes.
        run_dir: Its metrics tell the outer gradient.
        steps: Inner steps.
        norm: Which statistics batch norm uses on the query set.
        tasks: How many tasks of each split, `TASKS` at most.
    """
    tasks = min(tasks, TASKS)
    shots = run.config.shots("val")
    # Of the size of validation tasks: only then do their scores compare.
    training = run.tasks["train"].with_shots(*shots)
    validation = run.tasks["val"]

    def judged(sampler: Sampler) -> Evaluation:
        return judge_each(run.learner, sampler, tasks, steps, norm, run.config.device)

    seen = judged(training).scores
    on_validation = judged(validation)
    losses, unseen = on_validation.losses, on_validation.scores
    support_losses = judged(_SupportAgain(validation)).losses
    lengths = _told_of(run_dir, "train/gradient_norm", run.progress.step)
    named = _told_of(run_dir, "train/score", run.progress.step)
    classes = _pretrained_classes(run.learner)
    return Figures(
        score=validation.spec.score,
        larger_is_better=validation.spec.larger_is_better,
        training=seen[:, -1].mean().item(),
        training_ci95=interval(seen[:, -1]).item(),
        validation=unseen[:, -1].mean().item(),
        validation_ci95=interval(unseen[:, -1]).item(),
        support_loss_before=support_losses[:, 0].mean().item(),
        support_loss_after=support_losses[:, -1].mean().item(),
        # A loss that is not a number is worse than any.
        worse=(~(losses[:, -1] <= losses[:, 0])).float().mean().item(),
        gradient_norm=statistics.median(lengths) if lengths else None,
        gradient_peak=max(lengths, default=None),
        tasks=tasks,
        pretraining=statistics.median(named) if classes and named else None,
        classes=classes,
    )


def _pretrained_classes(learner: Learner) -> int | None:
    """How many classes ordinary training tells apart; None where tasks are what is trained on."""
    one = learner.learner if isinstance(learner, Parallel) else learner
    return one.classes if isinstance(one, FineTune) else None


@dataclass(frozen=True)
class _SupportAgain:
    """Tasks that are judged on what they adapt to: their query set is their support set."""

    sampler: Sampler

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        tasks = self.sampler.batch(indices)
        return replace(tasks, query_x=tasks.support_x, query_y=tasks.support_y)


def _told_of(run_dir: RunDir, name: str, until: int) -> list[float]:
    """A figure of the last outer steps up to a given one, by its name in the metrics."""
    try:
        text = run_dir.metrics.read_text(encoding="utf-8")
        # What is behind the last line's end is the part of a line that is just being written.
        lines = [json.loads(line) for line in text.split("\n")[:-1]]
        values = [line.get(name) for line in lines if line["step"] <= until]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Metrics that are missing or damaged cost one figure, and no evaluation.
        return []
    return [value for value in values if _is_number(value)][-OUTER_STEPS:]


def _is_number(value: object) -> bool:
    """Whether a value of JSON is a number that a float can hold."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max
