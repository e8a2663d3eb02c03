"""How many processes share the tasks of a config, where that pays."""

import os

import torch

from fewstep.config.schema import Config
from fewstep.data.source import TaskSource
from fewstep.distributed.forked import POSSIBLE
from fewstep.distributed.ranks import ranks
from fewstep.evaluation.task_sets import EVALUATED
from fewstep.execution.plan import should_parallelise
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased


def workers_for(config: Config, learner: Learner, train: TaskSource) -> int:
    """The processes of a config, of a learner and of tasks such as its; its own number if any."""
    if ranks().size > 1:
        return 1  # they are there
    cores = min(torch.get_num_threads(), os.cpu_count() or 1)
    possible = POSSIBLE and cores > 1 and torch.device(config.device).type == "cpu"
    if isinstance(learner, FineTune):
        # Only evaluations are shared out: all inner steps of some tasks at a time.
        few: GradientBased = learner.few_shot()
        steps, number = config.test_inner_steps, EVALUATED
    else:
        assert isinstance(learner, GradientBased)
        if config.workers or not possible:
            return config.workers or 1
        few, steps, number = learner, 1, config.meta_batch
    if not possible:
        return 1
    tasks = train.batch(range(number))
    objective, _ = few.objective(tasks, few.norm)
    return cores if should_parallelise(objective, tasks, steps) else 1
