"""The last layer of a classifier: some learners adapt it alone, some replace it for each task."""

from __future__ import annotations

from torch import nn

from fewstep.errors import InputError
from fewstep.learners.adapted import copy_of


def last_linear(model: nn.Module) -> str:
    """The name of the last ``nn.Linear`` of a model.

    Raises:
        InputError: There is none inside.
    """
    names: list[str] = [n for n, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not names or names[-1] == "":
        raise InputError(
            "the model has no nn.Linear inside that could be the head; end it with one, or, where "
            "MAML adapts the head or the body, name it, as in MAML(..., head='classifier')"
        )
    return names[-1]


def check_plain(model: nn.Module, name: str) -> None:
    """See that a layer is an ``nn.Linear`` in which another weight may stand.

    Raises:
        InputError: Its weight is computed, or is that of another layer too, or hooks change it.
    """
    layer = model.get_submodule(name)
    hooks = layer._forward_pre_hooks or layer._forward_hooks
    weights = (p for part in model.modules() for p in part._parameters.values())
    shared = sum(weight is layer._parameters.get("weight") for weight in weights)
    if type(layer) is not nn.Linear or hooks or "forward" in layer.__dict__ or shared != 1:
        raise InputError(
            f"the last layer {name!r} is no plain nn.Linear with a weight of its own, and "
            "prototypes take the place of that weight; end the model with one"
        )


def new_linear(model: nn.Module, name: str, outputs: int | None = None) -> nn.Linear:
    """A new layer to stand in the place of ``name``, with another number of outputs if given."""
    old = model.get_submodule(name)
    assert isinstance(old, nn.Linear)
    return nn.Linear(old.in_features, outputs or old.out_features).to(old.weight)


def with_layer(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """A copy of the model with this layer in the place of ``name``."""
    changed = copy_of(model)
    parent, _, child = name.rpartition(".")
    setattr(changed.get_submodule(parent), child, layer)
    return changed
