"""An adapted model as an ordinary module: it can be called, saved and exported like any other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.overrides import TorchFunctionMode

from fewstep import spectral
from fewstep.errors import InputError, first_line
from fewstep.functional import OF_SUPPORT, Norm, PureModel, in_training
from fewstep.learners.recording import CalledTwiceError, statistics_seen
from fewstep.swapped import Params
from fewstep.tasks import Inputs


def adapted_module(model: nn.Module, params: Params, support_x: Inputs, norm: Norm) -> nn.Module:
    """A copy of ``model`` with ``params``, in eval mode.

    Args:
        model: The module that was adapted; a batch norm of it in eval mode stays as it is.
        params: The adapted parameters by name, and perhaps running statistics.
        support_x: ``[examples, ...]``, what it was adapted on.
        norm: Which statistics batch norm uses from now on: those of the batch that the module is
            called with (``"transductive"``) or those of ``support_x`` (``"inductive"``). The
            running statistics are those of ``support_x`` in either case.

    Raises:
        InputError: The model cannot be copied, or one batch norm would have to keep two statistics.
    """
    adapted = copy_of(model)
    with torch.no_grad():
        for name, value in (*adapted.named_parameters(), *adapted.named_buffers()):
            if name in params:
                value.copy_(params[name])
        spectral.settle(adapted)
        norms = {n: p for n, p in adapted.named_modules() if isinstance(p, _NormBase)}
        # Statistics that were recorded in training are what it is to use.
        kept = {n for n in norms if f"{n}.running_mean" in params or not in_training(norms[n])}
        adapted.eval()
        layers = {name: part for name, part in norms.items() if name not in kept}
        for part in layers.values():
            part.training = True
        _remember_statistics(
            adapted, {n: p for n, p in layers.items() if isinstance(p, _BatchNorm)}, support_x, norm
        )
        for part in layers.values():
            if getattr(part, OF_SUPPORT, False):
                part.training = False
            else:
                part.track_running_stats = False
    return adapted


def copy_of(model: nn.Module) -> nn.Module:
    """A deep copy of a module, also where it keeps results of an earlier call.

    Raises:
        InputError: Something in it cannot be copied.
    """
    try:
        with _WithoutGraphs():
            return copy.deepcopy(model)
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"the model cannot be copied ({first_line(error)}); keep what cannot be copied out of "
            "it, or give it a __deepcopy__"
        ) from error


class _WithoutGraphs(TorchFunctionMode):
    """Lets tensors that have a graph be copied, without it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            memo[id(tensor)] = copied = tensor.detach().clone()
            return copied
        return func(*args, **(kwargs or {}))


def _remember_statistics(
    model: nn.Module, layers: dict[str, _BatchNorm], support_x: Inputs, norm: Norm
) -> None:
    """Put the statistics of the support set where a batch norm keeps its running statistics."""
    if not layers:
        return
    for layer in layers.values():
        setattr(layer, OF_SUPPORT, norm == "inductive")
    try:
        with statistics_seen(layers) as seen:
            PureModel(model, copies_inputs=True)({}, support_x)
    except CalledTwiceError:
        if norm == "inductive":
            raise
        return
    for name, (mean, var) in seen.items():
        layer = layers[name]
        # A layer that has none would add names to the state dict that the user's model lacks.
        lasting = layer.running_mean is not None
        if lasting or norm == "inductive":
            layer.register_buffer("running_mean", mean, persistent=lasting)
            layer.register_buffer("running_var", var, persistent=lasting)
