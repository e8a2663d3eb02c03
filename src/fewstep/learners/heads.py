"""Parts of a model: its last layer, which some learners replace, and the parameters that adapt."""

from collections.abc import Sequence

from torch import nn

from fewstep.errors import InputError
from fewstep.functional.call import trainable
from fewstep.learners.adapted import copy_of


def last_linear(model: nn.Module) -> str:
    """The name of the last ``nn.Linear`` inside of a model; `InputError` where there is none."""
    names: list[str] = [n for n, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not names or names[-1] == "":
        raise InputError(
            "the model has no nn.Linear inside that could be the head; end it with one, or, where "
            "MAML adapts the head or the body, name it, as in MAML(..., head='classifier')"
        )
    return names[-1]


def check_plain(model: nn.Module, name: str) -> None:
    """See that a layer is an ``nn.Linear`` without hooks whose weight is its own, not computed."""
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


def adapting_names(model: nn.Module, adapting: str | Sequence[str], head: str | None) -> list[str]:
    """The names of the parameters that adapt, in the model's order; see `MAML`."""
    names = list(trainable(model))
    if adapting == "all":
        chosen = names
    elif adapting in ("head", "body"):
        inside = _head(model) if head is None else head
        of_head = _within(model, names, inside)
        if not of_head:
            raise InputError(
                f"the head {inside!r} has no parameter that requires a gradient; name the module "
                "that is the head, as in head='classifier'"
            )
        chosen = of_head if adapting == "head" else [n for n in names if n not in of_head]
    else:
        given = [adapting] if isinstance(adapting, str) else list(adapting)
        found = [_within(model, names, name) for name in given]
        if [] in found:
            raise InputError(
                f"adapting names {given[found.index([])]!r}, where the model has no parameter that "
                "requires a gradient; expected all, head, body, or names of parameters or modules"
            )
        chosen = [name for name in names if any(name in part for part in found)]
    if not chosen:
        raise InputError(
            f"adapting is {adapting!r}, and no such parameter of the model requires a gradient; "
            "use adapting='all' or let some of them require one"
        )
    return chosen


def _head(model: nn.Module) -> str:
    # A model that is one linear layer is nothing but head.
    return "" if isinstance(model, nn.Linear) else last_linear(model)


def _within(model: nn.Module, names: list[str], part: str) -> list[str]:
    """The parameters of a module, or the parameter of that name; "" is the whole model.

    One that is tied has the name of its first place, and belongs to all of them.
    """
    inside = {
        id(parameter)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not part or name == part or name.startswith(f"{part}.")
    }
    own = dict(model.named_parameters())
    return [name for name in names if id(own[name]) in inside]
