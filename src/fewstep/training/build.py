"""From a config to its learner."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from fewstep.config.schema import OF_MAML, Config
from fewstep.data.source import TaskSource
from fewstep.distributed.parallel import Parallel
from fewstep.errors import InputError, first_line
from fewstep.evaluation.task_sets import EVALUATED
from fewstep.execution.plan import should_parallelise
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.imaml import ImplicitMAML
from fewstep.learners.maml import MAML
from fewstep.learners.protomaml import ProtoMAML
from fewstep.learners.protonet import ProtoNet
from fewstep.learners.reptile import Reptile
from fewstep.models.build import network
from fewstep.tasks import TaskBatch

_EXECUTION = ("execution", "precision", "norm", "metrics")
_LOOP = ("inner_lr", "inner_steps", *_EXECUTION)
_MAML = (
    *(*_LOOP, "loss", "order", "memory", "compile", "adapting", "inner_optimizer", "step_sizes"),
    *("multi_step_loss", "first_order_steps", "per_step_affine", "per_step_statistics"),
)
_ALGORITHMS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    **dict.fromkeys(OF_MAML, (MAML, _MAML)),
    "reptile": (Reptile, (*_LOOP, "loss")),
    "imaml": (ImplicitMAML, (*_LOOP, "loss", "proximal", "cg_steps")),
    "protomaml": (ProtoMAML, (*_LOOP, "memory")),
    "protonet": (ProtoNet, _EXECUTION),
    "finetune": (
        FineTune,
        ("classes", "inner_lr", "inner_steps", "new_head", "execution", "norm"),
    ),
}
"""By the name of an algorithm: its learner, and the settings that are handed to it."""


def learner(config: Config, train: TaskSource) -> Learner:
    """The config's learner, on its device, with the initial weights of its seed.

    Args:
        config: Names the algorithm and the network.
        train: The training tasks, whose form decides the network's shape, loss and metrics.

    Raises:
        InputError: The device cannot be used, or the network does not suit the tasks.
    """
    device, spec = _device(config.device), train.spec
    make, names = _ALGORITHMS[config.algorithm]
    settings = {
        **vars(config),
        "loss": spec.loss,
        "metrics": spec.metrics,
        "classes": spec.classes,
        # Shares of a run become outer steps.
        "multi_step_loss": round(config.multi_step_loss * config.steps),
        "first_order_steps": round(config.first_order * config.steps),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = network(config, spec.example_shape, spec.outputs).to(device)
        one: FineTune | GradientBased = make(model, **{name: settings[name] for name in names})
    if isinstance(one, FineTune):
        # Only evaluations are shared out: all inner steps of some tasks at a time.
        tasks, steps = train.batch(range(EVALUATED)), config.test_inner_steps
        workers = _workers(config, one.few_shot(), tasks, steps)
    else:
        workers = config.workers or _workers(config, one, train.batch(range(config.meta_batch)))
    return Parallel(one, workers) if workers > 1 else one


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
