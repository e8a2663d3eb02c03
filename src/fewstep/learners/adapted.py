"""An adapted model as an ordinary module: it can be called, saved and exported like any other."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from fewstep.batchnorm import forget_statistics
from fewstep.functional import Norm, Params
from fewstep.learners.recording import statistics_seen


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
        layers = {
            name: part
            for name, part in adapted.named_modules()
            if isinstance(part, _NormBase) and part.training
        }
        if norm == "inductive":
            of_batches = {n: part for n, part in layers.items() if isinstance(part, _BatchNorm)}
            _remember_statistics(adapted, of_batches, support_x)
        for layer in layers.values():
            if norm == "transductive" or not isinstance(layer, _BatchNorm):
                forget_statistics(layer)
    return adapted.eval()


def _remember_statistics(
    model: nn.Module, layers: dict[str, _BatchNorm], support_x: Tensor
) -> None:
    with statistics_seen(layers) as seen:
        model(support_x)
    for name, (mean, var) in seen.items():
        layer = layers[name]
        layer.track_running_stats = True
        layer.running_mean, layer.running_var = mean, var
