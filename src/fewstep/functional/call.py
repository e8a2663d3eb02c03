"""A model, and the loss that judges it, as pure functions of their tensors.

MAML differentiates through a gradient, so each operation of the model has to have a right second
derivative. Where PyTorch's own has none, another stands in for it (`fewstep.functional.overrides`)
while the model is called, without a change to the user's module.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from fewstep.errors import InputError
from fewstep.functional import spectral_norm as spectral
from fewstep.functional.batch_norm import (
    InTraining,
    Statistics,
    by_own_statistics,
    recording,
    replaying,
)
from fewstep.functional.layers import CheckpointingError, layer_at_fault
from fewstep.functional.overrides import (
    EAGER,
    TRACEABLE,
    StandIns,
    TwiceDifferentiable,
    stand_ins_now,
)
from fewstep.functional.swapped import Layout, Params, Swapped
from fewstep.metagrad.metrics import unwrapped
from fewstep.ops import traceable
from fewstep.ops.fuse import fused_forward
from fewstep.runtime.compile_cache import CompiledFunctions
from fewstep.tasks import Inputs, fresh, map_tensors

Norm = Literal["transductive", "inductive"]
Modes = Literal["own", "evaluation", "running"]
"""Whether layers are in the modes they are in; all but norms in eval mode; or batch norm too."""
LOSS = "loss."
"""Begins the names of the parameters of a loss."""


def trainable(module: nn.Module) -> Params:
    """The parameters that may change, by name; one that is tied appears once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def call(model: Callable[..., Any], x: Inputs) -> Any:
    """Call a model with a tensor, the tensors of a tuple, or those of a dict by name."""
    if isinstance(x, Tensor):
        return model(x)
    return model(**x) if isinstance(x, dict) else model(*x)


class PureModel:
    """A model, and perhaps the loss, with all their tensors given from outside.

    Whatever they write to buffers and attributes is dropped after each call, so nothing of one
    reaches the next; and the user's modules are left as they are, bit for bit.

    Args:
        model: Any module.
        loss: Where it is a module, its parameters are given too, under names that begin with
            ``loss.``.
        modes: Of the layers while they are called.
        functions: To compile blocks of layers with, if any.
        copies_inputs: Whether it or the loss changes what it is called with, and so is given
            copies.
        replaced: Other ``forward`` functions for some of the model's parts, by their names.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Any] | None = None,
        *,
        modes: Modes = "own",
        functions: CompiledFunctions | None = None,
        copies_inputs: bool = False,
        replaced: dict[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        module = loss_module(loss, model)
        modules = {"": model} if module is None else {"": model, LOSS: module}
        self._layout = Layout(modules, reached_by(loss))
        self._functions = functions
        self._copies_inputs = copies_inputs
        for slot in self._layout.slots:
            slot.entries.update(_entries(slot.part, modes))
        for name, forward in (replaced or {}).items():
            part = model.get_submodule(name)
            next(s for s in self._layout.slots if s.part is part).entries["forward"] = forward
        self._fused: dict[bool, dict[int, dict[str, Any]]] = {}

    @property
    def tensors(self) -> Params:
        """All parameters and buffers by name."""
        return self._layout.tensors

    @property
    def buffers(self) -> set[str]:
        """The names of those tensors that are buffers."""
        return self._layout.buffers

    @property
    def modes(self) -> list[tuple[nn.Module, bool]]:
        """All parts, and whether each is in training mode while it is called."""
        return [(s.part, s.entries.get("training", s.part.training)) for s in self._layout.slots]

    @contextmanager
    def having(
        self,
        params: Params,
        batch_norm: InTraining | None = None,
        *,
        fused: bool = False,
        inputs_repeat: bool = False,
        stand_ins: StandIns = EAGER,
    ) -> Iterator[None]:
        """Have these tensors inside, where `predict` and the loss are then called.

        Args:
            params: Replacements by the name of a parameter or buffer. A name that is missing keeps
                the module's tensor.
            batch_norm: How batch norm in training mode normalises; by the batch alone unless given.
            fused: Whether to compute blocks of layers at once.
            inputs_repeat: Whether the same examples come again.
            stand_ins: What stands in for functions of PyTorch.
        """
        entries = self._fused_entries(inputs_repeat) if fused else {}
        mode = TwiceDifferentiable(batch_norm or by_own_statistics, stand_ins_now(stand_ins))
        with Swapped(self._layout, params, entries), mode:
            try:
                yield
            except CheckpointingError as error:
                raise InputError(
                    f"{layer_at_fault(error)} uses activation checkpointing, which would compute "
                    "again with other parameters on the way back; leave it out: "
                    'memory="flat" saves memory too'
                ) from error

    def predict(self, x: Inputs) -> Any:
        """The model's prediction for ``x``, ``[examples, ...]``; inside `having` alone."""
        x = fresh(x)
        return call(self.model, map_tensors(torch.clone, x) if self._copies_inputs else x)

    def target(self, y: Tensor) -> Tensor:
        """What a loss is given for the targets ``y``."""
        return y.clone() if self._copies_inputs else y

    def __call__(self, params: Params, x: Inputs) -> Any:
        """The prediction for ``x`` with these tensors; batch norm sees ``x`` alone."""
        with self.having(params):
            return self.predict(x)

    @contextmanager
    def inductive(self, params: Params, support_x: Inputs) -> Iterator[None]:
        """As `having`, and batch norm normalises by the statistics of ``support_x``.

        What is predicted inside for one example does not depend on the others.
        """
        statistics: Statistics = {}
        with self.having(params, recording(statistics)):
            self.predict(support_x)
        with self.having(params, replaying(statistics)):
            yield

    @contextmanager
    def traceable(self, tensors: Params) -> Iterator[None]:
        """As `having`, for a compiler: all tensors are given, and buffers may be written to."""
        with self.having(tensors, traceable.batch_norm, stand_ins=TRACEABLE):
            yield

    def _fused_entries(self, inputs_repeat: bool) -> dict[int, dict[str, Any]]:
        if inputs_repeat not in self._fused:
            self._fused[inputs_repeat] = {
                number: {"forward": forward}
                for number, slot in enumerate(self._layout.slots)
                if "forward" not in slot.entries
                and (forward := fused_forward(slot.part, self._functions, inputs_repeat))
            }
        return self._fused[inputs_repeat]


def loss_module(loss: Callable[..., Any] | None, model: nn.Module) -> nn.Module | None:
    """The module that a loss is, or is a method of, where it is no part of the model."""
    function = unwrapped(loss)
    owner = getattr(function, "__self__", function)
    if not isinstance(owner, nn.Module) or any(part is owner for part in model.modules()):
        return None
    return owner


def reached_by(loss: object) -> Iterator[Any]:
    """What the code of a loss holds: its closure, defaults, arguments and global names."""
    if isinstance(loss, partial):
        yield from (*loss.args, *loss.keywords.values())
        yield from reached_by(loss.func)
    function = getattr(loss, "__func__", loss)
    if isinstance(function, FunctionType):
        for cell in function.__closure__ or ():
            with suppress(ValueError):
                yield cell.cell_contents
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        for name in function.__code__.co_names:
            yield function.__globals__.get(name)


def in_training(layer: nn.Module) -> bool:
    """Whether a learner takes a layer for one in training mode.

    A batch norm that was given the statistics of a support set is, as it was before, and one
    without running statistics uses those of each batch in any mode.
    """
    if isinstance(layer, _NormBase) and layer.running_mean is None:
        return True
    return layer.training or getattr(layer, OF_SUPPORT, False)


OF_SUPPORT = "statistics_of_support"
"""The attribute of a batch norm whose running statistics are those of a support set."""


def _entries(part: nn.Module, modes: Modes) -> dict[str, Any]:
    """The attributes that a part has while it is called."""
    entries: dict[str, Any] = {}
    training = in_training(part)
    if modes != "own" and not isinstance(part, _NormBase):
        training = False
    if modes == "running" and isinstance(part, _BatchNorm):
        training = False
    if training != part.training:
        entries["training"] = training
    if isinstance(part, _SpectralNorm):
        entries["forward"] = spectral.parametrization(part)
    elif any(isinstance(hook, SpectralNorm) for hook in part._forward_pre_hooks.values()):
        entries["_forward_pre_hooks"] = OrderedDict(
            (number, spectral.pre_hook(hook) if isinstance(hook, SpectralNorm) else hook)
            for number, hook in part._forward_pre_hooks.items()
        )
    # Compiled for one derivative: its second one would be wrong or refused.
    if part._compiled_call_impl is not None:
        entries["_compiled_call_impl"] = None
    if is_compiled(part):
        entries["forward"] = part._orig_mod
    return entries


def is_compiled(part: nn.Module) -> bool:
    """Whether a module is what ``torch.compile`` made of another."""
    module = sys.modules.get("torch._dynamo.eval_frame")
    return module is not None and isinstance(part, module.OptimizedModule)
