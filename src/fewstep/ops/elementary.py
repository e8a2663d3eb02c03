"""Functions of PyTorch without a right second derivative, written out in operations that have one.

`torch._weight_norm` has a wrong one, the others have none.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.vmap import under_vmap


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """Compute ``torch._weight_norm`` (Salimans and Kingma 2016, arXiv 1602.07868, equation 2).

    ``g`` is the length of each slice of ``v`` along ``dim``; -1 for one of the whole, and other
    negative numbers count from the end.
    """
    others = [n for n in range(v.dim()) if n != dim % v.dim()] if dim != -1 else None
    return v * (g / torch.linalg.vector_norm(v, dim=others, keepdim=dim != -1))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Compute ``F.hardsigmoid``."""
    return _result(input, lambda x: (x + 3).clamp(0, 6) / 6, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Compute ``F.hardswish``."""
    return _result(input, lambda x: x * (x + 3).clamp(0, 6) / 6, inplace)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: object = None) -> Tensor:  # noqa: ARG001
    """Compute ``torch.cdist``, ``[..., n, m]``, of ``[..., n, width]`` and ``[..., m, width]``."""
    return _length(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Compute ``F.pdist``: the distances of all pairs of ``[n, width]``, ``[n (n - 1) / 2]``."""
    first, second = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return _length(input[first] - input[second], p)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,  # noqa: ARG001
) -> Tensor:
    """Compute ``F.embedding``, with a gradient that is not sparse and so can be differentiated."""
    if not under_vmap(input, weight):
        return F.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    # vmap would leave both settings out, without a word.
    if scale_grad_by_freq:
        raise RuntimeError("an embedding with scale_grad_by_freq counts the examples of all tasks")
    found = F.embedding(input, weight, padding_idx)
    if padding_idx is None:
        return found
    is_padding = input == padding_idx % len(weight)
    return torch.where(is_padding.unsqueeze(-1), found.detach(), found)


def rows_of(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Compute ``torch.embedding``, which takes a negative ``padding_idx`` for none."""
    padding = padding_idx if padding_idx >= 0 else None
    return embedding(indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,  # noqa: ARG001
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Compute ``F.embedding_bag``, with a gradient that is not sparse."""
    settings = (offsets, max_norm, norm_type, scale_grad_by_freq, mode, False)
    of_bags = (per_sample_weights, include_last_offset, padding_idx)
    return F.embedding_bag(input, weight, *settings, *of_bags)


def _result(x: Tensor, function: Callable[[Tensor], Tensor], inplace: bool) -> Tensor:
    return x.copy_(function(x.clone())) if inplace else function(x)


def _length(x: Tensor, p: float) -> Tensor:
    """The p-norm of the last dimension; its derivatives are 0 where it is 0, as PyTorch's first."""
    if p == 0:
        return (x != 0).to(x.dtype).sum(-1)
    if p == 1:
        return x.abs().sum(-1)
    if math.isinf(p):
        return x.abs().amax(-1)
    powers = x.square() if p == 2 else _away_from_zero(x.abs(), lambda size: size**p)
    return _away_from_zero(powers.sum(-1), lambda total: total ** (1 / p))


def _away_from_zero(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function that is 0 at 0, where its derivatives may be infinite and count as 0."""
    zero = x == 0
    return function(x.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)
