"""Checks that refuse what cannot be exact, and the layer that an error comes from."""

import traceback
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewstep.errors import InputError


def check_layers(model: nn.Module) -> None:
    """Refuse layers that would be silently wrong.

    Raises:
        InputError: Names the layer and says what to do.

    >>> check_layers(nn.Sequential(nn.Embedding(9, 2, max_norm=1.0)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    fewstep.errors.InputError: embedding '0' has max_norm, which rewrites its weight in place ...
    """
    for part in model.modules():
        for kind, refused, told in _REFUSED:
            if isinstance(part, kind) and refused(part):
                name = _name(part, model)
                raise InputError(told.format(repr(name) if name else "(the model itself)"))


def _frozen_without_statistics(layer: _BatchNorm) -> bool:
    mean, var = layer.running_mean, layer.running_var
    if layer.training or mean is None or var is None:
        return False
    return bool(layer.num_batches_tracked == 0 and not mean.any() and (var == 1).all())


def refuse_checkpointing(with_gradients: bool) -> None:
    """Refuse activation checkpointing; to be called inside the model's forward.

    It computes once more on the way back, with the module's own parameters: silently wrong. The
    reentrant kind turns gradients off, where they were on as the model was called.
    """
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is not None and hooks[0].__module__ == "torch.utils.checkpoint":
        raise CheckpointingError
    if with_gradients and not torch.is_grad_enabled():
        modules = (frame.f_globals.get("__name__") for frame, _ in traceback.walk_stack(None))
        if "torch.utils.checkpoint" in modules:
            raise CheckpointingError


class CheckpointingError(Exception):
    """The model uses activation checkpointing."""


def check_second_derivative(gradients: Iterable[Tensor]) -> None:
    """See that the gradients themselves can be differentiated.

    PyTorch marks the result of an operation that allows one derivative only, but says nothing
    where a part of the graph leads elsewhere: the operation would count as a constant.

    Args:
        gradients: Computed with ``create_graph=True``.

    Raises:
        InputError: There is such an operation.

    >>> x = torch.ones(2, requires_grad=True)
    >>> check_second_derivative(torch.autograd.grad(x.exp().sum(), x, create_graph=True))
    """
    nodes = [gradient.grad_fn for gradient in gradients]
    seen: set[object] = set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("Error"):
            raise InputError(
                "an operation of the model or of the loss has no second derivative (it is marked "
                "once_differentiable); write it out in operations that have one, or use "
                'order="first"'
            )
        nodes += [before for before, _ in node.next_functions]


def layer_at_fault(error: BaseException) -> str:
    """Name the innermost layer of model or loss whose code an error came through, in words."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    calls = [f.f_code.co_name for f in frames if f.f_globals.get("__name__") in _CALLS]
    whole = "the loss" if "call_loss" in calls and "call_model" not in calls else "the model"
    owners = (frame.f_locals.get("self") for frame in frames)
    layers = [owner for owner in owners if isinstance(owner, nn.Module)]
    if not layers:
        return whole
    kind = type(layers[-1]).__name__
    name = _name(layers[-1], layers[0])
    return f"layer {name!r} ({kind}) of {whole}" if name else f"{whole} ({kind})"


_CALLS = ("fewstep.functional.call", "fewstep.functional.loss")


def _name(layer: nn.Module, model: nn.Module) -> str:
    return next((name for name, part in model.named_modules() if part is layer), "")


_REFUSED: tuple[tuple[type[Any] | tuple[type[Any], ...], Callable[[Any], bool], str], ...] = (
    (
        _BatchNorm,
        _frozen_without_statistics,
        "batch norm {} is in eval mode, but its running statistics were never computed; call "
        "model.train() so that it uses those of each batch",
    ),
    (
        (nn.Embedding, nn.EmbeddingBag),
        lambda part: part.max_norm is not None,
        "embedding {} has max_norm, which rewrites its weight in place at every call; leave "
        "max_norm out",
    ),
    (
        torch.jit.ScriptModule,
        lambda part: any(True for _ in part.parameters()),
        "layer {} is compiled by TorchScript, which computes with its own parameters and not with "
        "the adapted ones; give the module that it was made of",
    ),
    (
        (nn.DataParallel, nn.parallel.DistributedDataParallel),
        lambda _: True,
        "layer {} is wrapped to share its work out among devices, which would not reach the "
        "meta-gradient; give the module inside it (.module), let each process take tasks of its "
        "own, and average their gradients with torch.distributed.all_reduce",
    ),
)
"""Kind of layer, whether one of it is refused, and what is said."""
