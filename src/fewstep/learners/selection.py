"""Which parameters of a model adapt to a task."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fewstep.errors import InputError
from fewstep.functional.call import trainable
from fewstep.learners.heads import last_linear


def adapting_names(model: nn.Module, adapting: str | Sequence[str], head: str | None) -> list[str]:
    """The names of the parameters that adapt, in the model's order.

    Args:
        model: Its parameters that require a gradient may adapt.
        adapting: ``"all"``; ``"head"``, the last ``nn.Linear`` (ANIL); ``"body"``, everything else
            (BOIL); or names of parameters and of modules.
        head: Name of the module that is the head, where it is not the last ``nn.Linear``.

    Raises:
        InputError: There is no such part, or nothing of it requires a gradient.
    """
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
