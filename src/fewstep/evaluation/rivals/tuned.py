"""The pooled network fine-tuned: step size and number of steps are chosen on validation tasks."""

import copy
import math
from collections.abc import Sequence

from fewstep.evaluation.evaluate import by_name
from fewstep.learners.base import Evaluation
from fewstep.learners.finetune import FineTune
from fewstep.tasks import TaskBatch

STEP_SIZES = (0.003, 0.01, 0.03, 0.1, 0.3)
STEPS = (1, 2, 5, 10, 20, 50)


def choose_tuning(
    pooled: FineTune, validation: Sequence[TaskBatch], names: Sequence[str], *, of_classes: bool
) -> FineTune:
    """The network with the step size and the steps that are best on validation tasks.

    That is by the mean accuracy, or by the mean over tasks of the root mean squared error.

    Args:
        pooled: It stays as it is.
        validation: Tasks with as many support rows as those that it is to be judged on.
        names: Of these tasks: one that is drawn several times counts once.
        of_classes: Whether targets are classes, and not numbers.
    """
    best, chosen = -math.inf, (STEP_SIZES[0], STEPS[0])
    for step_size in STEP_SIZES:
        one = with_tuning(pooled, step_size, STEPS[0])
        # Metrics of one's own are computed task by task, which takes most of the time.
        one.metrics = None
        found = Evaluation.cat([one.evaluate(batch, STEPS[-1]) for batch in validation])
        scores = by_name(found, names).scores
        means = (scores if of_classes else -scores.sqrt()).mean(0)
        for steps in STEPS:
            # What is not a number is no better than anything.
            if means[steps] > best:
                best, chosen = means[steps].item(), (step_size, steps)
    return with_tuning(pooled, *chosen)


def with_tuning(pooled: FineTune, inner_lr: float, inner_steps: int) -> FineTune:
    """The same network, fine-tuned by so many steps of this size."""
    other = copy.copy(pooled)
    other.inner_lr, other.inner_steps = inner_lr, inner_steps
    return other
