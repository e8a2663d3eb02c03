"""An adapted model as an ordinary module: it can be called, saved and exported like any other."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from fewstep.choices import Norm
from fewstep.errors import InputError, first_line, let_out_of_memory_through
from fewstep.functional import spectral_norm as spectral
from fewstep.functional.call import PureModel
from fewstep.functional.layer_modes import OF_SUPPORT, in_training
from fewstep.functional.swapped import Params
from fewstep.learners.checks import same_but_for_rounding
from fewstep.learners.meta_parameters import CalledTwiceError, recorded_statistics
from fewstep.runtime.rng import preserve_rng_state, reseed
from fewstep.tasks import Inputs


def adapted_module(
    model: nn.Module, params: Params, support_x: Inputs, norm: Norm, expected: Any = None
) -> nn.Module:
    """A copy of ``model`` with ``params``, in eval mode.

    Running statistics, but of batch norm in eval mode, become those of ``support_x``; ``norm`` says
    whether they are used. ``expected`` is what it predicts there by that batch, if known.
    `InputError` where the model has no copy or one batch norm would need two statistics.
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
        of_batches = {n: p for n, p in layers.items() if isinstance(p, _BatchNorm)}
        found = _remember_statistics(adapted, of_batches, support_x, norm)
        _check_same(found, expected)
        for part in layers.values():
            if getattr(part, OF_SUPPORT, False):
                part.training = False
            else:
                part.track_running_stats = False
                # Instance norm moves the statistics that it has even so.
                part.momentum = 0.0
    return adapted


def copy_of(model: nn.Module) -> nn.Module:
    """A deep copy of a module, also where it keeps results of an earlier call."""
    try:
        with _WithoutGraphs():
            return copy.deepcopy(model)
    except (TypeError, RuntimeError) as error:
        let_out_of_memory_through(error)
        raise InputError(
            f"the model cannot be copied ({first_line(error)}); keep what cannot be copied out of "
            "it, or give it a __deepcopy__"
        ) from error


class _WithoutGraphs(TorchFunctionMode):
    """Lets tensors that have a graph be copied, without it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            memo[id(tensor)] = copied = tensor.detach().clone()
            return copied
        return func(*args, **(kwargs or {}))


def _remember_statistics(
    model: nn.Module, layers: dict[str, _BatchNorm], support_x: Inputs, norm: Norm
) -> Any:
    """Make the running statistics those of the support set, and return the prediction for it."""
    for layer in layers.values():
        setattr(layer, OF_SUPPORT, norm == "inductive")
    try:
        with recorded_statistics(layers) as recorded:
            prediction = predict_seeded(PureModel(model, copies_inputs=True), {}, support_x)
    except CalledTwiceError:
        if norm == "inductive":
            raise
        return None
    for name, (mean, var) in recorded.items():
        layer = layers[name]
        # A layer that has none would add names to the state dict that the user's model lacks.
        lasting = layer.running_mean is not None
        if lasting or norm == "inductive":
            layer.register_buffer("running_mean", mean, persistent=lasting)
            layer.register_buffer("running_var", var, persistent=lasting)
    return prediction


def predict_seeded(pure: PureModel, params: Params, x: Inputs) -> Any:
    """A prediction with gradients on, which some models take, and with the same draws each time."""
    with preserve_rng_state(), torch.enable_grad():
        reseed(0)
        return pure(params, x)


def _check_same(found: Any, expected: Any) -> None:
    """See that a copy predicts what the model itself does."""
    pairs = zip(*(pytree.tree_leaves(p) for p in (found, expected)), strict=False)
    for one, other in pairs:
        tensors = isinstance(one, Tensor) and isinstance(other, Tensor)
        if tensors and not same_but_for_rounding(one.detach(), other.detach(), least=1e-4):
            raise InputError(
                "the adapted copy of the model does not predict what the model does with the same "
                "parameters: something in it leads back to the original (a function that was made "
                "inside it, a hook); let it find its parts through self"
            )
