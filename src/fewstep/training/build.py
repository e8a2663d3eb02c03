"""From a config to its learner, whose tasks are shared out where that pays."""

import os

import torch

from fewstep.config.schema import Config
from fewstep.data.source import TaskSource
from fewstep.distributed.parallel import Parallel
from fewstep.evaluation.task_sets import EVALUATED
from fewstep.execution.plan import should_parallelise
from fewstep.learners.base import Learner
from fewstep.learners.build import learner_for
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.tasks import TaskBatch


def learner(config: Config, train: TaskSource) -> Learner:
    """The config's learner with the weights of its seed, its tasks shared out where that pays."""
    return shared_out(config, learner_for(config, train.spec), train)


def shared_out(config: Config, one: Learner, train: TaskSource) -> Learner:
    """The learner, its tasks shared out among processes where that pays."""
    if isinstance(one, FineTune):
        # Only evaluations are shared out: all inner steps of some tasks at a time.
        tasks, steps = train.batch(range(EVALUATED)), config.test_inner_steps
        workers = _workers(config, one.few_shot(), tasks, steps)
    else:
        assert isinstance(one, GradientBased)
        workers = config.workers or _workers(config, one, train.batch(range(config.meta_batch)))
    return Parallel(one, workers) if workers > 1 else one


def _workers(config: Config, learner: GradientBased, tasks: TaskBatch, steps: int = 1) -> int:
    """One a core, where so many inner steps of the tasks are enough work to be shared."""
    cores = min(torch.get_num_threads(), os.cpu_count() or 1)
    if torch.device(config.device).type != "cpu" or cores == 1:
        return 1
    objective, _ = learner.objective(tasks, learner.norm)
    return cores if should_parallelise(objective, tasks, steps) else 1
