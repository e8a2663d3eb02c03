"""Attention and its derivatives by blocks of queries, in memory linear in the sequence length.

For queries Q, keys K and values V, with a scale s and a mask M that is added,

    S = s Q K^T + M,    P = softmax(S) = exp(S - l),    O = P V.

Only O and l, the logarithm of each row's sum, are kept; all else of the size of P is computed once
more, for some rows at a time. With T = G V^T for a cotangent G of O, and D the row sums of G * O,
which are those of P * T, the gradients are

    dS = P * (T - D),    dQ = s dS K,    dK = s dS^T Q,    dV = P^T G,    dM = dS.

Given cotangents A, B, C and X of dQ, dK, dV and dM, let W = s (A K^T + Q B^T) + X be that of dS,
w the row sums of P * W, U = P * (W - w) that of T, and R = P * (F - f) that of S, where f are the
row sums of P * F and F = (W - w) * (T - D) + G C^T. Then the derivatives are

    of G: U V + P C,    of V: U^T G,    of M: R,
    of Q: s (R K + dS B),    of K: s (R^T Q + dS^T A).

Each of the three is one operation to a compiler, which would otherwise keep what is to be computed
again. All tensors are ``[..., length, width]``; the mask can be broadcast to the shape of P.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.library import custom_op

ROWS = 128
"""Queries of a block, at least, if there are as many."""
NUMBERS = 2**20
"""Numbers of the block of P, where those are more queries: fewer and larger calls."""


@custom_op("fewstep::attention", mutates_args=())
def attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool
) -> tuple[Tensor, Tensor]:
    """O and l. A row whose keys are all masked has zeros."""
    o, sums = q.new_empty(*q.shape[:-1], v.shape[-1]), q.new_empty(q.shape[:-1])
    with torch.autocast(q.device.type, enabled=False):
        for block in _blocks(q, k, causal):
            s = _scores(block, q, k, mask, scale, causal)
            total = s.logsumexp(-1)
            total = total.masked_fill_(total == -torch.inf, 0)
            sums[..., block.rows] = total
            o[..., block.rows, :] = s.sub_(total[..., None]).exp_() @ v[..., block.keys, :]
    return o, sums


@custom_op("fewstep::attention_gradient", mutates_args=())
def gradient(
    g: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    o: Tensor,
    sums: Tensor,
    scale: float,
    causal: bool,
    of_mask: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """dQ, dK, dV and dM, which is empty unless it is wanted."""
    dq, dk, dv, dm = _results(q, k, v, mask, of_mask)
    with torch.autocast(q.device.type, enabled=False):
        d = (g * o).sum(-1, keepdim=True)
        for block in _blocks(q, k, causal):
            rows, keys = block
            p = _probabilities(block, q, k, mask, sums, scale, causal)
            ds = (g[..., rows, :] @ v[..., keys, :].mT).sub_(d[..., rows, :]).mul_(p)
            dv[..., keys, :] += p.mT @ g[..., rows, :]
            dq[..., rows, :] = (ds @ k[..., keys, :]).mul_(scale)
            dk[..., keys, :] += (ds.mT @ q[..., rows, :]).mul_(scale)
            if of_mask:
                _add(dm, ds, block)
    return dq, dk, dv, dm


@custom_op("fewstep::attention_second_gradient", mutates_args=())
def second_gradient(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    x: Tensor,
    g: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    o: Tensor,
    sums: Tensor,
    scale: float,
    causal: bool,
    of_mask: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The derivatives of G, Q, K, V and M, of which the last is empty unless it is wanted."""
    dg = torch.empty_like(o, memory_format=torch.contiguous_format)
    dq, dk, dv, dm = _results(q, k, v, mask, of_mask)
    with torch.autocast(q.device.type, enabled=False):
        d = (g * o).sum(-1, keepdim=True)
        for block in _blocks(q, k, causal):
            rows, keys = block
            ar, gr, qr = (t[..., rows, :] for t in (a, g, q))
            bk, ck, kk, vk = (t[..., keys, :] for t in (b, c, k, v))
            p = _probabilities(block, q, k, mask, sums, scale, causal)
            w = ((ar @ kk.mT).add_(qr @ bk.mT)).mul_(scale)
            if of_mask:
                w += _of_block(x, block)
            w -= (p * w).sum(-1, keepdim=True)
            t = (gr @ vk.mT).sub_(d[..., rows, :])
            r = (gr @ ck.mT).addcmul_(w, t).mul_(p)
            r.addcmul_(p, r.sum(-1, keepdim=True), value=-1)
            u, ds = w.mul_(p), t.mul_(p)
            dg[..., rows, :] = (u @ vk).add_(p @ ck)
            dq[..., rows, :] = (r @ kk).add_(ds @ bk).mul_(scale)
            dk[..., keys, :] += (r.mT @ qr).add_(ds.mT @ ar).mul_(scale)
            dv[..., keys, :] += u.mT @ gr
            if of_mask:
                _add(dm, r, block)
    return dg, dq, dk, dv, dm


class _Block(NamedTuple):
    """Some queries, and the keys that they see."""

    rows: slice
    keys: slice


def _blocks(q: Tensor, k: Tensor, causal: bool) -> Iterator[_Block]:
    queries, keys = q.shape[-2], k.shape[-2]
    of_a_row = max(1, q.shape[:-2].numel() * keys)
    number = max(1, -(-queries // max(ROWS, NUMBERS // of_a_row)))
    for block in range(number):
        first, end = queries * block // number, queries * (block + 1) // number
        yield _Block(slice(first, end), slice(0, min(end, keys) if causal else keys))


def _scores(
    block: _Block, q: Tensor, k: Tensor, mask: Tensor | None, scale: float, causal: bool
) -> Tensor:
    rows, keys = block
    s = (q[..., rows, :] * scale) @ k[..., keys, :].mT
    if mask is not None and mask.dtype == torch.bool:
        s.masked_fill_(~_of_block(mask, block), -torch.inf)
    elif mask is not None:
        s += _of_block(mask, block)
    if causal:
        row = torch.arange(rows.start, rows.stop, device=q.device)
        s.masked_fill_(torch.arange(keys.stop, device=q.device) > row[:, None], -torch.inf)
    return s


def _probabilities(
    block: _Block,
    q: Tensor,
    k: Tensor,
    mask: Tensor | None,
    sums: Tensor,
    scale: float,
    causal: bool,
) -> Tensor:
    s = _scores(block, q, k, mask, scale, causal)
    return s.sub_(sums[..., block.rows, None]).exp_()


def _of_block(mask: Tensor, block: _Block) -> Tensor:
    """Its view, of which one row or one column may stand for all."""
    rows = mask if mask.shape[-2] == 1 else mask[..., block.rows, :]
    return rows if mask.shape[-1] == 1 else rows[..., block.keys]


def _add(total: Tensor, part: Tensor, block: _Block) -> None:
    view = _of_block(total, block)
    view += part.sum_to_size(view.shape)


def _results(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, of_mask: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the gradients of Q, K, V and M: that of Q in memory, the others as zeros."""
    form = torch.contiguous_format
    dk, dv = (torch.zeros_like(t, memory_format=form) for t in (k, v))
    assert mask is not None or not of_mask
    dm = torch.zeros_like(mask, memory_format=form) if of_mask and mask is not None else None
    dq = torch.empty_like(q, memory_format=form)
    return dq, dk, dv, q.new_empty(0) if dm is None else dm


@attention.register_fake
def _(*inputs: Any) -> tuple[Tensor, Tensor]:
    q, _, v, *_ = inputs
    return q.new_empty(*q.shape[:-1], v.shape[-1]), q.new_empty(q.shape[:-1])


@gradient.register_fake
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    q, k, v, mask = inputs[1:5]
    return _results(q, k, v, mask, inputs[-1])


@second_gradient.register_fake
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    g, q, k, v, mask = inputs[4:9]
    dg = torch.empty_like(g, memory_format=torch.contiguous_format)
    return dg, *_results(q, k, v, mask, inputs[-1])
