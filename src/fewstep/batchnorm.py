"""Batch norm as meta-learning needs it: what stands in for ``F.batch_norm`` in a pure call.

No running statistics are handed on: they would be written and then dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._C._functorch import is_batchedtensor
from torch.nn.modules.batchnorm import _NormBase

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and variance of each batch norm, in the order of their calls."""


InTraining = Callable[[Tensor, Tensor | None, Tensor | None, float], Tensor]
"""Batch norm in training mode, of (x, weight, bias, eps)."""


def batch_norm(
    in_training: InTraining,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``F.batch_norm``, with ``in_training`` for its training mode."""
    if training:
        return in_training(x, weight, bias, eps)
    return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)


def by_own_statistics(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """By the statistics of ``x`` alone."""
    if is_batchedtensor(x):
        normalised: Tensor = _AllTasksAtOnce.apply(x, weight, bias, eps)  # type: ignore[no-untyped-call]
        return normalised
    return F.batch_norm(x, None, None, weight, bias, True, 0.0, eps)


def recording(statistics: Statistics) -> InTraining:
    """As `by_own_statistics`, and appends the statistics of ``x``."""

    def in_training(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        statistics.append(batch_statistics(x))
        return by_own_statistics(x, weight, bias, eps)

    return in_training


def replaying(statistics: Statistics) -> InTraining:
    """By the recorded statistics, one pair a call."""
    recorded = iter(statistics)

    def in_training(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        mean, var = next(recorded)
        return _normalised(x, mean, var, weight, bias, eps)

    return in_training


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel of ``[examples, channels, ...]``."""
    other = [dim for dim in range(x.dim()) if dim != 1]
    return x.mean(other), x.var(other, unbiased=False)


def forget_statistics(layer: _NormBase) -> None:
    """Let a layer use the statistics of each batch from now on, in eval mode too."""
    layer.track_running_stats = False
    layer.running_mean = layer.running_var = layer.num_batches_tracked = None


def _normalised(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Batch norm by given statistics; PyTorch's own cannot be differentiated through them."""
    shape = [1, -1] + [1] * (x.dim() - 2)
    result = (x - mean.view(shape)) * (var.view(shape) + eps).rsqrt()
    if weight is not None:
        result = result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


class _AllTasksAtOnce(torch.autograd.Function):
    """Batch norm under vmap: the channels of all tasks side by side in one call.

    vmap's own rule copies ``x`` and scales it in passes of its own. What is called here is
    recorded by the ordinary autograd beneath vmap, so it can be differentiated as often as any.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        raise NotImplementedError("only under vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> tuple[Tensor, int]:
        tasks = info.batch_size
        x = _with_tasks(x, in_dims[0], tasks, 1)
        if weight is not None:
            weight = _with_tasks(weight, in_dims[1], tasks, 0).flatten()
        if bias is not None:
            bias = _with_tasks(bias, in_dims[2], tasks, 0).flatten()
        result = F.batch_norm(x.flatten(1, 2), None, None, weight, bias, True, 0.0, eps)
        return result.view(x.shape), 1


def _with_tasks(value: Tensor, dim: int | None, tasks: int, wanted: int) -> Tensor:
    """Bring the dimension of the tasks to a place, or make it where all share the value."""
    if dim is None:
        return value.unsqueeze(wanted).expand(*value.shape[:wanted], tasks, *value.shape[wanted:])
    return value.movedim(dim, wanted)
