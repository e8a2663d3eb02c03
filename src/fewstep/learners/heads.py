"""Parts of a model: its last layer, which some learners replace, and the parameters that adapt."""

from collections.abc import Callable, Collection, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.functional.call import trainable
from fewstep.functional.structure import has_hooks
from fewstep.functional.swapped import Params
from fewstep.learners.adapted import copy_of
from fewstep.models.context import WithContext


def last_linear(model: nn.Module) -> str:
    """The name of the last ``nn.Linear`` inside of a model; `InputError` where there is none.

    The one that turns a context vector into a modulation is none of the network's own.
    """
    beside = [part.modulation for part in model.modules() if isinstance(part, WithContext)]
    names: list[str] = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and part not in beside
    ]
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
            "prototypes or shared rows take the place of that weight; end the model with one"
        )


def new_linear(model: nn.Module, name: str, outputs: int | None = None) -> nn.Linear:
    """A new layer to stand in the place of ``name``, with another number of outputs if given."""
    old = model.get_submodule(name)
    assert isinstance(old, nn.Linear)
    outputs = old.out_features if outputs is None else outputs
    return nn.Linear(old.in_features, outputs).to(old.weight)


def with_layer(model: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """A copy of the model with this layer in the place of ``name``; "" is the model itself."""
    if not name:
        return layer
    changed = copy_of(model)
    parent, _, child = name.rpartition(".")
    setattr(changed.get_submodule(parent), child, layer)
    return changed


def noting(layer: nn.Linear, note: Callable[[Tensor], None]) -> Callable[[Tensor], Tensor]:
    """The ``forward`` of a last layer that notes its inputs, with a bias in any case."""

    def forward(x: Tensor) -> Tensor:
        note(x)
        return F.linear(x, layer.weight, layer.bias)

    return forward


def only_features(inputs: list[Tensor], examples: int, layer: nn.Linear, whose: str) -> Tensor:
    """The features of all examples, where the last layer is called with them once."""
    shapes = [list(features.shape) for features in inputs]
    if shapes != [[examples, layer.in_features]]:
        raise InputError(
            f"the last linear layer is called with {', '.join(map(str, shapes)) or 'nothing'}; "
            f"{whose} needs [examples, {layer.in_features}], once: flatten before that layer"
        )
    return inputs[0].to(layer.weight.dtype)


def adapting_names(model: nn.Module, adapting: str | Sequence[str], head: str | None) -> list[str]:
    """The names of the parameters that adapt, in the model's order; see `MAML`."""
    names = list(trainable(model))
    if adapting == "all":
        chosen = names
    elif adapting in ("head", "body"):
        inside = head_of(model) if head is None else head
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


def head_of(model: nn.Module) -> str:
    """The name of a model's head; a model that is one linear layer is nothing but head."""
    return "" if isinstance(model, nn.Linear) else last_linear(model)


def rows_by_class(model: nn.Module, head: str | None, adapting: Collection[str]) -> list[str]:
    """The names of the head's tensors, which have a row a class, where all classes share one.

    `InputError` where the rows could not become different, since some of them do not adapt.
    """
    name = head_of(model) if head is None else head
    check_plain(model, name)
    prefix = f"{name}." if name else ""
    names = [prefix + n for n, _ in model.get_submodule(name).named_parameters()]
    fixed = [n for n in names if n not in adapting]
    if fixed:
        raise InputError(
            f"head_rows is shared, and {fixed[0]!r} does not adapt: the rows of all classes would "
            "stay the same; let the head adapt (adapting all or head), or use head_rows separate"
        )
    return names


def moved_first(
    model: nn.Module, head: str | None, adapting: Collection[str], loss: object
) -> tuple[str, ...] | None:
    """Rows that all classes share, where nothing else has a gradient in the first inner step.

    The gradient of cross-entropy by the outputs for an example sums to zero over the classes, and
    the body has that sum times the row. So it is where the head's outputs for flat features are
    surely the model's, ``[examples, classes]``.

    >>> body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())
    >>> model = nn.Sequential(*body, nn.Linear(16, 5))
    >>> moved_first(model, None, dict(model.named_parameters()), F.cross_entropy)
    ('2.weight', '2.bias')
    """
    if loss is not F.cross_entropy or not isinstance(model, nn.Sequential) or len(model) < 2:
        return None
    flat, last = model[-2], model[-1]
    changed = any(has_hooks(part) or "forward" in vars(part) for part in (model, flat))
    if type(model) is not nn.Sequential or changed:
        return None
    if type(flat) is not nn.Flatten or (flat.start_dim, flat.end_dim) != (1, -1):
        return None
    if last is not model.get_submodule(head_of(model) if head is None else head):
        return None
    return tuple(rows_by_class(model, head, adapting))


def share_rows(tensors: Params, rows: Collection[str]) -> Params:
    """The same tensors, each row of those in ``rows`` being the mean of all of its rows.

    This is a symmetric linear map, so that it is its own derivative and transpose: the gradient
    with respect to the tensors is the same function of the gradient with respect to the result.
    """
    return {
        name: value.mean(0, keepdim=True).expand_as(value).contiguous() if name in rows else value
        for name, value in tensors.items()
    }


def _within(model: nn.Module, names: list[str], part: str) -> list[str]:
    """The parameters of a module ("" for the whole model), or the one of that name, tied or not."""
    inside = {
        id(parameter)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not part or name == part or name.startswith(f"{part}.")
    }
    own = dict(model.named_parameters())
    return [name for name in names if id(own[name]) in inside]
