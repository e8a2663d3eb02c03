"""A learner for tasks of another number of classes, from the same initialisation."""

import inspect
from typing import Any

import torch
from torch import nn

from fewstep.errors import InputError
from fewstep.functional.call import LOSS
from fewstep.functional.swapped import Params
from fewstep.learners.adapted import copy_of
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.heads import head_of, with_layer
from fewstep.learners.maml import MAML
from fewstep.learners.protomaml import ProtoMAML
from fewstep.learners.protonet import ProtoNet
from fewstep.runtime.rng import preserve_rng_state


def for_ways(learner: Learner, n_way: int) -> tuple[Learner, str]:
    """The learner for tasks of ``n_way`` classes, with the same initialisation.

    Args:
        learner: Of a classifier. Neither it nor its model is changed.
        n_way: Classes of a task, 2 or more.

    Returns:
        The learner itself where it takes such tasks, else a new one; and a sentence that says what
        stands in the place of the last layer, "" where nothing does.

    Raises:
        InputError: The model has no last layer to replace, or ``n_way`` is too small.
    """
    one: Any = getattr(learner, "learner", learner)  # of one that shares its tasks out
    if n_way < 2:
        raise InputError(f"n_way is {n_way}; expected 2 or more classes")
    if isinstance(one, ProtoMAML):
        return learner, ""
    if isinstance(one, FineTune):
        if one.ways == n_way:
            return learner, ""
        return one.for_ways(n_way), f"fine-tuned under a new last layer of {n_way} outputs"
    if not isinstance(one, GradientBased):
        raise InputError(
            f"learner is a {type(one).__name__}, whose number of classes cannot be told; expected "
            "a learner of fewstep"
        )
    given = getattr(one, "head", None)
    head = head_of(one.model) if given is None else given
    layer = one.model.get_submodule(head)
    if not isinstance(layer, nn.Linear):
        raise InputError(
            f"the head {head!r} is a {type(layer).__name__}, whose number of classes is fixed; end "
            "the model with an nn.Linear"
        )
    if layer.out_features == n_way:
        return learner, ""
    trained = f"trained on {layer.out_features} classes"
    if isinstance(one, MAML) and one.head_rows == "shared":
        return _with_rows(one, head, n_way), f"{trained}: all {n_way} start from the row they share"
    means = f"{trained}: the last layer is made of the mean features of each of the {n_way}"
    if _adapts_as_a_whole(one):
        return _from_prototypes(one, one.inner_lr, one.inner_steps), f"{means}, then adapts"
    return _from_prototypes(one, 0.0, 0), f"{means}, and takes no inner steps"


def _adapts_as_a_whole(learner: GradientBased) -> bool:
    """Whether the body was learned for steps along the gradient of one size for all."""
    if not isinstance(learner, MAML):
        return True
    plain = learner.inner_optimizer == "sgd" and learner.step_sizes == "fixed"
    return plain and learner.adapting == "all"


def _from_prototypes(learner: GradientBased, inner_lr: float, inner_steps: int) -> ProtoMAML:
    """The learner's body under a last layer that each task makes of its prototypes.

    Scored by cross-entropy, whatever loss it was trained by.
    """
    model = copy_of(learner.model)
    if not inner_steps:
        # Prototypes move nothing, of a body that was never learned either.
        model.requires_grad_(True)
    names = ("order", "memory", "metrics", "execution", "precision", "norm")
    settings = {name: getattr(learner, name) for name in names}
    if inner_steps:
        return ProtoMAML(model, inner_lr, inner_steps, **settings)
    return ProtoNet(model, **{name: settings[name] for name in names[2:]})


def _with_rows(learner: MAML, head: str, n_way: int) -> MAML:
    """The learner with so many rows in its head, each the mean of its own."""
    old = learner.model.get_submodule(head)
    assert isinstance(old, nn.Linear)
    with preserve_rng_state(torch.device("cpu")):
        layer = nn.Linear(old.in_features, n_way, bias=old.bias is not None).to(old.weight)
    given = inspect.signature(MAML).parameters.keys() - {"model", "compile"}
    settings = {name: getattr(learner, name) for name in given}
    found = MAML(with_layer(learner.model, head, layer), **settings)
    rows = learner._shared_rows()
    state: Params = {
        name: value.mean(0, keepdim=True).repeat(n_way, *[1] * (value.dim() - 1))
        if name in rows
        else value
        for name, value in learner.state_dict().items()
        # The loss is the same one.
        if not name.startswith(LOSS)
    }
    found.load_state_dict(state, strict=False)
    return found
