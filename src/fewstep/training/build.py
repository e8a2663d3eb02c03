"""From a config to the objects that a run is made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from fewstep.config.schema import Config
from fewstep.data.episodes import SPLITS, EpisodeSampler, Split
from fewstep.data.glyphs import load_glyphs
from fewstep.data.omniglot import load_omniglot
from fewstep.data.sinusoid import SinusoidSampler
from fewstep.distributed.parallel import Parallel
from fewstep.errors import InputError, first_line
from fewstep.execution.plan import worth_sharing
from fewstep.learners.base import Learner
from fewstep.learners.checks import Loss
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.imaml import ImplicitMAML
from fewstep.learners.maml import MAML
from fewstep.learners.protomaml import ProtoMAML
from fewstep.learners.protonet import ProtoNet
from fewstep.learners.reptile import Reptile
from fewstep.models.context import WithContext
from fewstep.models.conv4 import conv4
from fewstep.models.mlp import mlp
from fewstep.tasks import TaskBatch

EVALUATED = 20
"""Tasks that are evaluated by one call."""


class Sampler(Protocol):
    """Makes tasks from their numbers."""

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers."""


def samplers(config: Config, data_dir: Path | None) -> dict[Split, Sampler]:
    """The tasks of the three splits, which share no class.

    Raises:
        InputError: The data are missing or damaged, or too small for the config's tasks.
    """
    if config.data == "sinusoid":
        return {
            split: SinusoidSampler(*config.shots(split), config.seed, split) for split in SPLITS
        }
    images = load_glyphs() if config.data == "glyphs" else load_omniglot(data_dir)
    return {
        split: EpisodeSampler(
            images[split],
            config.n_way,
            *config.shots(split),
            config.seed,
            split,
            rotations=config.rotations and split == "train",
        )
        for split in SPLITS
    }


def network(config: Config) -> nn.Module:
    """The config's model, untrained."""
    if config.model == "mlp":
        model, modulated, channels = mlp(1, (40, 40), 1), "0", 40
    else:
        model = conv4(1, 28, config.n_way, config.filters, config.downsample, config.model_norm)
        modulated, channels = "2", config.filters
    return WithContext(model, config.context, modulated, channels) if config.context else model


def learner(config: Config, train: Sampler) -> Learner:
    """The config's learner, on its device, with the initial weights of its seed.

    Args:
        config: What to build.
        train: The training tasks; fine-tuning has to know how many classes they come from.
    """
    device = _device(config.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return _learner(config, network(config).to(device), train)


def _learner(config: Config, model: nn.Module, train: Sampler) -> Learner:
    if config.algorithm == "finetune":
        assert isinstance(train, EpisodeSampler)
        make = partial(
            FineTune,
            model,
            train.classes,
            config.inner_lr,
            config.inner_steps,
            new_head=config.new_head,
            execution=config.execution,
            norm=config.norm,
        )
        # To see how large a task is; the other one has the same new layers.
        with torch.random.fork_rng(devices=[]):
            few_shot = make().few_shot()
        # Only evaluations are shared out: all inner steps of some tasks at a time.
        tasks, steps = train.batch(range(EVALUATED)), config.test_inner_steps
        return make(workers=_workers(config, few_shot, tasks, steps))
    one = _in_one_process(config, model)
    workers = config.workers or _workers(config, one, train.batch(range(config.meta_batch)))
    return Parallel(one, workers) if workers > 1 else one


def _in_one_process(config: Config, model: nn.Module) -> GradientBased:
    loop = (model, config.inner_lr, config.inner_steps)
    loss: Loss = F.mse_loss if config.data == "sinusoid" else F.cross_entropy
    execution, precision, norm = config.execution, config.precision, config.norm
    if config.algorithm == "reptile":
        return Reptile(*loop, loss=loss, execution=execution, precision=precision, norm=norm)
    if config.algorithm == "imaml":
        return ImplicitMAML(
            *loop,
            proximal=config.proximal,
            cg_steps=config.cg_steps,
            loss=loss,
            execution=execution,
            precision=precision,
            norm=norm,
        )
    if config.algorithm == "protomaml":
        return ProtoMAML(
            *loop, memory=config.memory, execution=execution, precision=precision, norm=norm
        )
    if config.algorithm == "protonet":
        return ProtoNet(model, execution=execution, precision=precision, norm=norm)
    return MAML(
        *loop,
        loss=loss,
        order=config.order,
        memory=config.memory,
        execution=execution,
        compile=config.compile,
        precision=precision,
        norm=norm,
        adapting=config.adapting,
        inner_optimizer=config.inner_optimizer,
        step_sizes=config.step_sizes,
        multi_step_loss=round(config.multi_step_loss * config.steps),
        first_order_steps=round(config.first_order_share * config.steps),
        per_step_affine=config.per_step_affine,
        per_step_statistics=config.per_step_statistics,
    )


def _workers(config: Config, learner: GradientBased, tasks: TaskBatch, steps: int = 1) -> int:
    """One a core, where so many inner steps of the tasks are enough work to be shared."""
    cores = min(torch.get_num_threads(), os.cpu_count() or 1)
    if torch.device(config.device).type != "cpu" or cores == 1:
        return 1
    problem, _ = learner.problem(tasks, learner.norm)
    return cores if worth_sharing(problem, tasks, steps) else 1


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
