"""From a config to its learner."""

import os
from inspect import signature
from pkgutil import resolve_name

import torch

from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.schema import Config
from fewstep.data.source import TaskSource, TaskSpec
from fewstep.distributed.parallel import Parallel
from fewstep.errors import InputError, first_line
from fewstep.evaluation.task_sets import EVALUATED
from fewstep.execution.plan import should_parallelise
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.models.build import network
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


def learner_for(config: Config, spec: TaskSpec) -> FineTune | GradientBased:
    """The config's learner with the weights of its seed, for tasks of this form."""
    device = _device(config.device)
    make = resolve_name(ALGORITHMS[config.algorithm].learner)
    settings = {
        **vars(config),
        "loss": spec.loss,
        "metrics": spec.metrics,
        "classes": spec.classes,
        # Shares of a run become outer steps.
        "multi_step_loss": round(config.multi_step_loss * config.steps),
        "first_order_steps": round(config.first_order_share * config.steps),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = network(config, spec.example_shape, spec.outputs).to(device)
        given = (signature(make).parameters.keys() & settings.keys()) - {"model", "workers"}
        one: FineTune | GradientBased = make(model, **{name: settings[name] for name in given})
        return one


def _workers(config: Config, learner: GradientBased, tasks: TaskBatch, steps: int = 1) -> int:
    """One a core, where so many inner steps of the tasks are enough work to be shared."""
    cores = min(torch.get_num_threads(), os.cpu_count() or 1)
    if torch.device(config.device).type != "cpu" or cores == 1:
        return 1
    objective, _ = learner.objective(tasks, learner.norm)
    return cores if should_parallelise(objective, tasks, steps) else 1


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        # Read back, too: some devices, such as meta, hold no numbers.
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        # The first sentence: some go on with a list of all backends.
        told = first_line(error).split(". ")[0]
        raise InputError(f"device {name!r} cannot be used ({told}); try --device cpu") from error
    return device
