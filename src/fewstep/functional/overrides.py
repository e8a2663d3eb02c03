"""Table of what stands in for functions of PyTorch while a model is called."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fewstep.functional.batch_norm import InTraining, stateless_batch_norm
from fewstep.functional.guards import refuse_checkpointing
from fewstep.ops import attention, elementary, fast, traceable
from fewstep.ops.recurrent import RECURRENT
from fewstep.ops.vmap import under_vmap
from fewstep.ops.written_out import WRITTEN_OUT, are_written_out, left_alone
from fewstep.runtime.modes import setting_of

Function = Callable[..., Any]
Overrides = dict[Function, Function]


def _not_under_vmap(name: str, function: Function) -> Function:
    def ask(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if under_vmap(tensor):
            raise RuntimeError(f"it looks at {name} of a tensor, which vmap hides")
        return function(tensor, *args, **kwargs)

    return ask


def _both(function: Function) -> tuple[Function, Function]:
    return function, function


# The backends' own `flags` change other settings as well, and warn about some of them.
_plain_recurrence: Any = setting_of((torch.backends.mkldnn, torch.backends.cudnn), "enabled", False)

_REQUIRES_GRAD: Function = Tensor.requires_grad.__get__  # type: ignore[attr-defined]
_GRAD_FN: Function = Tensor.grad_fn.__get__  # type: ignore[union-attr]
_IS_LEAF: Function = Tensor.is_leaf.__get__  # type: ignore[attr-defined]

_TABLE: dict[Function, tuple[Function | None, Function | None]] = {
    # PyTorch's second derivative is slow on a CPU.
    torch.conv2d: (fast.conv2d, traceable.conv2d),
    torch.max_pool2d: (fast.max_pool2d, traceable.max_pool2d),
    F.max_pool2d: (fast.max_pool2d, traceable.max_pool2d),
    # vmap is slow, or refuses it.
    F.group_norm: (fast.group_norm, None),
    F.adaptive_avg_pool2d: (fast.adaptive_avg_pool2d, None),
    # What a compiler makes of it is slow.
    F.relu: (None, traceable.relu),
    torch.relu: (None, traceable.relu),
    Tensor.relu: (None, traceable.relu),
    # PyTorch's second derivative is wrong.
    torch._weight_norm: _both(elementary.weight_norm),
    # PyTorch has no second derivative.
    F.hardsigmoid: _both(elementary.hardsigmoid),
    F.hardswish: _both(elementary.hardswish),
    torch.cdist: _both(elementary.cdist),
    torch.pdist: _both(elementary.pdist),
    F.embedding: _both(elementary.embedding),
    torch.embedding: _both(elementary.rows_of),
    F.embedding_bag: _both(elementary.embedding_bag),
    F.scaled_dot_product_attention: _both(attention.scaled_dot_product_attention),
    F.multi_head_attention_forward: _both(attention.multi_head_attention_forward),
    **{of: _both(_plain_recurrence(layers)) for of, layers in RECURRENT.items()},
    # vmap hides the graph, so that a model that asks would be another one.
    _REQUIRES_GRAD: _both(_not_under_vmap("requires_grad", _REQUIRES_GRAD)),
    _GRAD_FN: _both(_not_under_vmap("grad_fn", _GRAD_FN)),
    _IS_LEAF: _both(_not_under_vmap("is_leaf", _IS_LEAF)),
    Tensor.register_hook: _both(_not_under_vmap("the gradient (a hook)", Tensor.register_hook)),
}
"""Columns: operation by operation, and where a compiler follows.

Each takes the arguments of what it replaces; None leaves that as it is. `F.batch_norm` is the one
function that is not listed: what stands in for it depends on the call.
"""

EAGER: Overrides = {function: row[0] for function, row in _TABLE.items() if row[0]}
TRACEABLE: Overrides = {function: row[1] for function, row in _TABLE.items() if row[1]}
RECORDABLE: Overrides = {
    **{function: row[0] for function, row in _TABLE.items() if row[0] and row[0] is row[1]},
    **WRITTEN_OUT,
}
"""For all tasks at once on a GPU, whose compiler fuses layers that are written out."""


class TwiceDifferentiable(TorchFunctionMode):
    """Replaces, while it is active, what PyTorch cannot differentiate twice, or not fast."""

    def __init__(self, in_training: InTraining, overrides: Overrides) -> None:
        super().__init__()
        self._batch_norm = partial(stateless_batch_norm, in_training)
        self._overrides = RECORDABLE if are_written_out() else overrides
        if alone := left_alone():
            kept = {f: other for f, other in self._overrides.items() if f not in alone}
            self._overrides = kept
        self._with_gradients = torch.is_grad_enabled()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        refuse_checkpointing(self._with_gradients)
        chosen = self._batch_norm if func is F.batch_norm else self._overrides.get(func, func)
        return chosen(*args, **(kwargs or {}))
