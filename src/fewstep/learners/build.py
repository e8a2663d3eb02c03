"""From a config to its learner."""

from inspect import signature
from pkgutil import resolve_name

import torch
from torch import nn

from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.schema import Config
from fewstep.data.source import TaskSpec
from fewstep.errors import InputError, first_line
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.heads import head_of
from fewstep.models.build import network
from fewstep.runtime.rng import preserve_rng_state


def learner_for(config: Config, spec: TaskSpec) -> FineTune | GradientBased:
    """The config's learner with the weights of its seed, for tasks of this form."""
    unknown = spec.kind == "classification" and spec.classes is None and not config.table
    if config.algorithm == "finetune" and unknown:
        raise InputError(
            f"data {config.data} does not tell which class of all a task's labels stand for, which "
            "pre-training needs; give TaskSpec.classes and TaskBatch(..., classes), or choose "
            "another algorithm"
        )
    device = _device(config.device)
    row = ALGORITHMS[config.algorithm]
    make = resolve_name(row.learner)
    settings = {
        **vars(config),
        "loss": spec.loss,
        "metrics": spec.metrics,
        "classes": spec.classes,
        # Shares of a run become outer steps.
        "multi_step_loss": round(config.multi_step_loss * config.steps),
        "first_order_steps": round(config.first_order_share * config.steps),
    }
    with preserve_rng_state():
        torch.manual_seed(config.seed)
        model = network(config, spec.example_shape, spec.outputs, spec.categories).to(device)
        if row.head_from_zeros:
            for parameter in model.get_submodule(head_of(model)).parameters():
                nn.init.zeros_(parameter)
        given = (signature(make).parameters.keys() & settings.keys()) - {"model", "workers"}
        one: FineTune | GradientBased = make(model, **{name: settings[name] for name in given})
        return one


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
