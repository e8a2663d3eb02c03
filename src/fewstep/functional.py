"""A module as a pure function of its parameters, with every layer twice differentiable.

MAML differentiates through a gradient, so each operation of the model has to have a right second
derivative. A few of PyTorch's fast kernels have none (fused attention, the fused LSTM); inside
`pure_call` their plain forms stand in for them, without a change to the user's module.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from fewstep.batchnorm import (
    InTraining,
    Statistics,
    batch_norm,
    by_own_statistics,
    recording,
    replaying,
)
from fewstep.errors import InputError
from fewstep.kernels import traceable
from fewstep.kernels.replacements import REPLACEMENTS
from fewstep.layers import CheckpointingError, layer_at_fault, refuse_checkpointing

Params = dict[str, Tensor]
StandIns = dict[Callable[..., Any], Callable[..., Any]]
Norm = Literal["transductive", "inductive"]


def trainable(module: nn.Module) -> Params:
    """The parameters that may change, by name; one that is tied appears once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def pure_call(module: nn.Module, params: Params, x: Tensor) -> Any:
    """What ``module`` predicts for ``x`` with ``params`` in the place of its own.

    Batch norm in training mode uses the statistics of ``x`` alone. Whatever the module writes to
    its buffers is dropped, so nothing of one call reaches the next.

    Args:
        module: Any module; left as it is, bit for bit.
        params: Replacements by the name of a parameter or buffer. A name that is missing keeps the
            module's tensor.
        x: ``[examples, ...]``.
    """
    with _TwiceDifferentiable(by_own_statistics):
        return _call(module, params, x)


def inductive_call(module: nn.Module, params: Params, support_x: Tensor, query_x: Tensor) -> Any:
    """As `pure_call` of ``query_x``, but batch norm uses the statistics of ``support_x``.

    Args:
        module: Any module; left as it is, bit for bit.
        params: Replacements by parameter name.
        support_x: ``[support examples, ...]``.
        query_x: ``[query examples, ...]``. What is predicted for one does not depend on the others.
    """
    statistics: Statistics = []
    with _TwiceDifferentiable(recording(statistics)):
        _call(module, params, support_x)
    with _TwiceDifferentiable(replaying(statistics)):
        return _call(module, params, query_x)


def traceable_call(module: nn.Module, tensors: Params, x: Tensor) -> Any:
    """As `pure_call`, for a compiler: of operations that can be fused.

    Args:
        module: Any module.
        tensors: Replacements for all parameters and buffers; buffers may be written to.
        x: ``[examples, ...]``.
    """
    with _TwiceDifferentiable(traceable.batch_norm, traceable.REPLACEMENTS):
        return _with_tensors(module, tensors, x)


def _call(module: nn.Module, params: Params, x: Tensor) -> Any:
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        return _with_tensors(module, {**buffers, **params}, x)
    except CheckpointingError as error:
        raise InputError(
            f"{layer_at_fault(error)} uses activation checkpointing, which would compute again "
            'with other parameters on the way back; leave it out: memory="flat" saves memory too'
        ) from error


def _with_tensors(module: nn.Module, tensors: Params, x: Tensor) -> Any:
    """What a module predicts with other tensors, each in all places that hold what it replaces."""
    # A module that is reached by two names is one place, and so are two views of it (their dict is
    # the same): replaced twice, functional_call would put the first replacement back at its end.
    seen: set[int] = set()
    given: dict[int, Tensor] = {}
    in_each_place: Params = {}
    for path, part in module.named_modules():
        if id(part._parameters) in seen:
            continue
        seen.add(id(part._parameters))
        prefix = f"{path}." if path else ""
        for name, own in (*part._parameters.items(), *part._buffers.items()):
            if prefix + name in tensors:
                given[id(own)] = tensors[prefix + name]
            if id(own) in given:
                in_each_place[prefix + name] = given[id(own)]
    return functional_call(module, in_each_place, (x,), tie_weights=False)


def without_dropout(module: nn.Module) -> nn.Module:
    """A copy for judging: everything in eval mode, but norms, which keep theirs."""
    judged = copy.deepcopy(module)
    for part in judged.modules():
        if not isinstance(part, _NormBase):
            part.training = False
    return judged


class _TwiceDifferentiable(TorchFunctionMode):
    """Replaces, while it is active, what PyTorch cannot differentiate twice."""

    def __init__(
        self, batch_norm_in_training: InTraining, stand_ins: StandIns = REPLACEMENTS
    ) -> None:
        super().__init__()
        self.batch_norm_in_training = batch_norm_in_training
        self.stand_ins = stand_ins

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        refuse_checkpointing()
        if func is F.batch_norm:
            return batch_norm(self.batch_norm_in_training, *args, **kwargs)
        if func in _FUSED_ATTENTION:
            with sdpa_kernel(SDPBackend.MATH):
                return func(*args, **kwargs)
        if func in _FUSED_RECURRENT:
            with _without_fused_recurrence():
                return func(*args, **kwargs)
        return self.stand_ins.get(func, func)(*args, **kwargs)


_FUSED_ATTENTION = (F.scaled_dot_product_attention, F.multi_head_attention_forward)
_FUSED_RECURRENT = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)


@contextmanager
def _without_fused_recurrence() -> Iterator[None]:
    # The backends' own `flags` change other settings as well, and warn about some of them.
    backends: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
    before = [backend.enabled for backend in backends]
    try:
        for backend in backends:
            backend.enabled = False
        yield
    finally:
        for backend, enabled in zip(backends, before, strict=True):
            backend.enabled = enabled
