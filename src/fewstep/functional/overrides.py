"""The one place that says what stands in for functions of PyTorch while a model is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from fewstep.functional.batch_norm import InTraining, batch_norm
from fewstep.functional.layers import refuse_checkpointing
from fewstep.ops import traceable
from fewstep.ops.elementary import ELEMENTARY
from fewstep.ops.replacements import REPLACEMENTS
from fewstep.ops.vmap import under_vmap
from fewstep.ops.written_out import WRITTEN_OUT, are_written_out

StandIns = dict[Callable[..., Any], Callable[..., Any]]


class TwiceDifferentiable(TorchFunctionMode):
    """Replaces, while it is active, what PyTorch cannot differentiate twice, or not fast.

    Args:
        batch_norm_in_training: Stands in for ``F.batch_norm`` in training mode.
        stand_ins: What stands in for other functions.
    """

    def __init__(self, batch_norm_in_training: InTraining, stand_ins: StandIns) -> None:
        super().__init__()
        self._batch_norm_in_training = batch_norm_in_training
        self._stand_ins = stand_ins
        self._with_gradients = torch.is_grad_enabled()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        refuse_checkpointing(self._with_gradients)
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return batch_norm(self._batch_norm_in_training, *args, **kwargs)
        if func in _FUSED_ATTENTION:
            with sdpa_kernel(SDPBackend.MATH):
                return func(*args, **kwargs)
        if func in _FUSED_RECURRENT:
            with _without_fused_recurrence():
                return func(*args, **kwargs)
        return self._stand_ins.get(func, func)(*args, **kwargs)


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


def _only_without_vmap(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose answer would be another one under vmap, which hides the graph."""

    def ask(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if under_vmap(tensor):
            raise RuntimeError(f"it looks at {name} of a tensor, which vmap hides")
        return function(tensor, *args, **kwargs)

    return ask


_OF_THE_GRAPH: StandIns = {
    function: _only_without_vmap(name, function)
    for name, function in {
        "requires_grad": Tensor.requires_grad.__get__,  # type: ignore[attr-defined]
        "grad_fn": Tensor.grad_fn.__get__,  # type: ignore[union-attr]
        "is_leaf": Tensor.is_leaf.__get__,  # type: ignore[attr-defined]
        "the gradient (a hook)": Tensor.register_hook,
    }.items()
}
_ALWAYS: StandIns = {**ELEMENTARY, **_OF_THE_GRAPH}
EAGER: StandIns = {**REPLACEMENTS, **_ALWAYS}
"""For a model that is computed operation by operation."""
TRACEABLE: StandIns = {**traceable.REPLACEMENTS, **_ALWAYS}
"""For a compiler, of operations that can be fused."""
RECORDABLE: StandIns = {**WRITTEN_OUT, **_ALWAYS}
"""For a compiler of kernels for a GPU, and all tasks at once."""


def stand_ins_now(stand_ins: StandIns) -> StandIns:
    """``stand_ins``, or those for a GPU while layers are written out."""
    return RECORDABLE if are_written_out() else stand_ins
