"""Attributes that the parts of a model have while it is called: their modes, and exact forwards."""

import sys
from collections import OrderedDict
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from fewstep.functional import spectral_norm as spectral

LayerModes = Literal["own", "evaluation", "running"]  # eval mode: as it is, all but norms, all
OF_SUPPORT = "statistics_of_support"  # marks a batch norm whose running statistics are these


def in_training(layer: nn.Module) -> bool:
    """Whether a learner takes a layer for one in training mode, with statistics of each batch."""
    if isinstance(layer, _NormBase) and layer.running_mean is None:
        return True
    return layer.training or getattr(layer, OF_SUPPORT, False)


def attributes_of(part: nn.Module, modes: LayerModes) -> dict[str, Any]:
    """Return the attributes that a part has while it is called, where they are not its own."""
    found: dict[str, Any] = {}
    training = in_training(part)
    if modes != "own" and not isinstance(part, _NormBase):
        training = False
    if modes == "running" and isinstance(part, _BatchNorm):
        training = False
    if training != part.training:
        found["training"] = training
    if isinstance(part, _SpectralNorm):
        found["forward"] = spectral.parametrization(part)
    elif any(isinstance(hook, SpectralNorm) for hook in part._forward_pre_hooks.values()):
        found["_forward_pre_hooks"] = OrderedDict(
            (number, spectral.pre_hook(hook) if isinstance(hook, SpectralNorm) else hook)
            for number, hook in part._forward_pre_hooks.items()
        )
    if isinstance(part, nn.RNNBase):
        # cuDNN's layout of weights is for kernels that are not used here, and it moves the tensors.
        found["flatten_parameters"] = _leave
    # Compiled for one derivative: its second one would be wrong or refused.
    if part._compiled_call_impl is not None:
        found["_compiled_call_impl"] = None
    if is_compiled(part):
        found["forward"] = part._orig_mod
    return found


def is_compiled(module: object) -> bool:
    """Whether it is what ``torch.compile`` makes of a module."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and isinstance(module, dynamo.OptimizedModule)


def _leave() -> None:
    """Stand in for a method that does nothing on a CPU."""
