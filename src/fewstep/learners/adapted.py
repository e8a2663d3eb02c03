"""An adapted model as an ordinary module: it can be called, saved and exported like any other."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from fewstep.batchnorm import batch_statistics, forget_statistics
from fewstep.errors import InputError
from fewstep.functional import Norm, Params


def adapted_module(model: nn.Module, params: Params, support_x: Tensor, norm: Norm) -> nn.Module:
    """A copy of ``model`` with ``params``, in eval mode.

    Args:
        model: The module that was adapted; a batch norm of it in eval mode stays as it is.
        params: The adapted parameters by name, and perhaps running statistics.
        support_x: ``[examples, ...]``, what it was adapted on.
        norm: Which statistics batch norm uses from now on: those of the batch that the module is
            called with (``"transductive"``) or those of ``support_x`` (``"inductive"``).

    Raises:
        InputError: One batch norm would have to keep two statistics.
    """
    adapted = copy.deepcopy(model)
    with torch.no_grad():
        for name, value in (*adapted.named_parameters(), *adapted.named_buffers()):
            if name in params:
                value.copy_(params[name])
        for name, part in adapted.named_modules():
            # Statistics that were recorded in training are what it is to use.
            if f"{name}.running_mean" in params:
                part.eval()
        layers = [m for m in adapted.modules() if isinstance(m, _NormBase) and m.training]
        of_batches = [layer for layer in layers if isinstance(layer, _BatchNorm)]
        if norm == "inductive":
            _remember_statistics(adapted, of_batches, support_x)
        for layer in layers:
            if norm == "transductive" or not isinstance(layer, _BatchNorm):
                forget_statistics(layer)
    return adapted.eval()


def _remember_statistics(model: nn.Module, layers: list[_BatchNorm], support_x: Tensor) -> None:
    seen: set[nn.Module] = set()

    def keep(layer: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
        if layer in seen:
            raise InputError(
                "a batch norm is called more than once in one prediction, and an inductive module "
                "can keep only one of its statistics; use a layer for each call, or "
                'norm="transductive"'
            )
        seen.add(layer)
        _keep_statistics(layer, inputs[0])

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    model(support_x)
    for hook in hooks:
        hook.remove()


def _keep_statistics(layer: nn.Module, x: Tensor) -> None:
    assert isinstance(layer, _BatchNorm)
    layer.track_running_stats = True
    layer.running_mean, layer.running_var = batch_statistics(x)
