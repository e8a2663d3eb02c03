"""``F.scaled_dot_product_attention`` with a second derivative, of long sequences by blocks.

The plain form keeps several tensors of queries times keys for each derivative, PyTorch's fused form
has no second one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fewstep.ops import attention_blocks as blocks
from fewstep.ops.third import second_gradient_of
from fewstep.ops.vmap import with_task_dim
from fewstep.runtime.modes import at_least_float32

LONG = 2**16
"""Queries times keys from which on the blocks pay."""

_fused = F.scaled_dot_product_attention
_plain: Callable[..., Tensor] = sdpa_kernel(SDPBackend.MATH)(_fused)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute ``F.scaled_dot_product_attention``; the shapes alone decide on the way.

    With dropout it is the plain form, whose random numbers are drawn at once.
    """
    settings = {"scale": scale, "enable_gqa": enable_gqa}
    long = query.dim() > 1 and query.shape[-2] * key.shape[-2] >= LONG
    if not long or dropout_p or (attn_mask is not None and is_causal):
        return _plain(query, key, value, attn_mask, dropout_p, is_causal, **settings)
    if enable_gqa:
        of_a_key = query.shape[-3] // key.shape[-3]
        key, value = (t.repeat_interleave(of_a_key, -3) for t in (key, value))
    device = query.device.type
    tensors = [query, key, value] if attn_mask is None else [query, key, value, attn_mask]
    if torch.is_autocast_enabled(device):
        tensors = [_lowered(t, torch.get_autocast_dtype(device)) for t in tensors]
    kind = tensors[0].dtype
    batch = torch.broadcast_shapes(*(t.shape[:-2] for t in tensors[:3]))
    given = [at_least_float32(t.expand(*batch, *t.shape[-2:])) for t in tensors[:3]]
    for mask in tensors[3:]:
        missing = max(0, given[0].dim() - mask.dim())
        mask = mask[(None,) * missing]
        given.append(mask if mask.dtype == torch.bool else at_least_float32(mask))
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    result = with_task_dim(partial(_attend, scale=factor, causal=is_causal), *given)
    return result.to(kind)


def _lowered(tensor: Tensor, kind: torch.dtype) -> Tensor:
    """An argument as autocast would give it."""
    casts = tensor.is_floating_point() and tensor.dtype != torch.float64
    return tensor.to(kind) if casts else tensor


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, scale: float, causal: bool
) -> Tensor:
    result: Tensor = _Attention.apply(q, k, v, mask, scale, causal)[0]
    return result


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool
    ) -> tuple[Tensor, Tensor]:
        o, sums = blocks.attention(q, k, v, mask, scale, causal)
        return o, sums

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        q, k, v, mask, ctx.scale, ctx.causal = inputs
        o, sums = output
        ctx.mark_non_differentiable(sums)
        ctx.save_for_backward(q, k, v, mask, o, sums)

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Tensor) -> Any:
        of_mask = ctx.needs_input_grad[3]
        settings = (ctx.scale, ctx.causal, of_mask)
        q, k, v, mask, o, sums = ctx.saved_tensors
        *found, dm = _Gradient.apply(g, q, k, v, mask, o.detach(), sums, *settings)
        return *found, dm if of_mask else None, None, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(*inputs: Any) -> Any:
        return blocks.gradient(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        *tensors, scale, causal, of_mask = inputs
        ctx.settings = (scale, causal, of_mask)
        if not of_mask:
            ctx.mark_non_differentiable(output[-1])
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        scale, causal, of_mask = ctx.settings
        if not torch.is_grad_enabled():
            *found, dm = blocks.second_gradient(*cotangents, *ctx.saved_tensors, *ctx.settings)
            return *found, dm if of_mask else None, *(None,) * 5
        g, *inputs, mask, _, _ = ctx.saved_tensors

        def plain(q: Tensor, k: Tensor, v: Tensor, *learned: Tensor) -> Tensor:
            (given,) = learned or (mask,)
            return _plain(q, k, v, given, is_causal=causal, scale=scale)

        inputs, cotangents = ([*inputs, mask], cotangents) if of_mask else (inputs, cotangents[:3])
        found = second_gradient_of(plain, inputs, g, cotangents)
        return *found, *(None,) * (10 - len(found))


def _calling(function: Any, **replaced: Any) -> Any:
    """A function of PyTorch that calls others in the place of some."""
    copy = FunctionType(
        function.__code__,
        {**function.__globals__, **replaced},
        function.__name__,
        function.__defaults__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


multi_head_attention_forward: Callable[..., Any] = _calling(
    F.multi_head_attention_forward,
    scaled_dot_product_attention=scaled_dot_product_attention,
    # A compiler's own mode would lead back to the original.
    has_torch_function=lambda _: False,
)
"""``F.multi_head_attention_forward``; what it calls is not replaced by itself."""
