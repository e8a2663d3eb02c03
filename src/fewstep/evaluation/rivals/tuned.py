"""The pooled network fine-tuned: step size and number of steps are chosen on validation tasks."""

import copy
import math
from collections.abc import Sequence

import torch

from fewstep.learners.finetune import FineTune
from fewstep.tasks import TaskBatch

STEP_SIZES = (0.003, 0.01, 0.03, 0.1, 0.3)
STEPS = (1, 2, 5, 10, 20, 50)


def choose_tuning(
    pooled: FineTune, validation: Sequence[TaskBatch], *, larger_is_better: bool
) -> FineTune:
    """The network with the step size and the steps of the best mean score on validation tasks.

    Args:
        pooled: It stays as it is.
        validation: Tasks with as many support rows as those that it is to be judged on.
        larger_is_better: Of the score.
    """
    sign = 1 if larger_is_better else -1
    best, chosen = -math.inf, (STEP_SIZES[0], STEPS[0])
    for step_size in STEP_SIZES:
        one = with_tuning(pooled, step_size, STEPS[0])
        scores = torch.cat([one.evaluate(batch, STEPS[-1]).scores for batch in validation])
        means = sign * scores.mean(0)
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
