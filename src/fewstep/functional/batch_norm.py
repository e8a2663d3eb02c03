"""Batch norm in a pure call of a model: it stands in for ``F.batch_norm``.

No running statistics are handed on: they would be written and then dropped.
"""

from collections.abc import Callable, Set
from itertools import cycle

import torch.nn.functional as F
from torch import Tensor

from fewstep.errors import InputError
from fewstep.ops.block import Block
from fewstep.ops.layout import use_fast_path
from fewstep.ops.norm_block import norm_block
from fewstep.ops.vmap import under_vmap, with_task_dim
from fewstep.ops.written_out import are_written_out

Statistics = dict[object, list[tuple[Tensor, Tensor]]]  # mean and variance, by call

InTraining = Callable[[Tensor, Tensor | None, Tensor | None, float], Tensor]  # x, weight, bias, eps


def stateless_batch_norm(
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
    """Compute ``F.batch_norm``, with ``in_training`` for its training mode."""
    if training:
        return in_training(x, weight, bias, eps)
    # Where all that a task depends on requires a gradient, recorded statistics do too.
    mean, var = (None if s is None else s.detach() for s in (running_mean, running_var))
    if are_written_out() and mean is not None and var is not None:
        return normalised(x, mean, var, weight, bias, eps)
    return F.batch_norm(x, mean, var, weight, bias, False, momentum, eps)


def by_own_statistics(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise by the statistics of ``x`` alone."""
    if are_written_out():
        return in_elementary_operations(x, weight, bias, eps)
    if use_fast_path(x):
        return norm_block(x, weight, bias, Block(eps))
    if under_vmap(x):
        return with_task_dim(_side_by_side(eps), x, weight, bias)
    return F.batch_norm(x, None, None, weight, bias, True, 0.0, eps)


def in_elementary_operations(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise by the statistics of ``x`` alone, in operations that a compiler can fuse."""
    other = [dim for dim in range(x.dim()) if dim != 1]
    mean = x.mean(other, keepdim=True)
    return normalised(x, mean, (x - mean).square().mean(other), weight, bias, eps)


def recording(statistics: Statistics, lasting: Set[int]) -> InTraining:
    """Return `by_own_statistics` that appends the statistics of ``x``.

    Args:
        statistics: What to append to.
        lasting: The ``id`` of tensors that are the same in the next call of the model.
    """

    def in_training(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        layer = _layer(lasting, weight, bias)
        statistics.setdefault(layer, []).append(batch_statistics(x))
        return by_own_statistics(x, weight, bias, eps)

    return in_training


def replaying(statistics: Statistics, lasting: Set[int]) -> InTraining:
    """Return batch norm by recorded statistics, in a circle: a loss may call the model again."""
    recorded = {layer: cycle(pairs) for layer, pairs in statistics.items()}

    def in_training(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        layer = _layer(lasting, weight, bias)
        if layer not in recorded:
            raise InputError(
                "a batch norm is called for the query set and was not for the support set, so it "
                'has no statistics to use; use norm="transductive"'
            )
        mean, var = next(recorded[layer])
        return normalised(x, mean, var, weight, bias, eps)

    return in_training


def _layer(lasting: Set[int], weight: Tensor | None, bias: Tensor | None) -> object:
    """Which layer it is, by its weight and bias.

    One that is computed is another tensor in each call, whose ``id`` may come again for that of
    another layer. Layers that nothing tells apart are so by the order of their calls.
    """
    return tuple(id(value) if id(value) in lasting else None for value in (weight, bias))


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel of ``[examples, channels, ...]``."""
    other = [dim for dim in range(x.dim()) if dim != 1]
    return x.mean(other), x.var(other, unbiased=False)


def normalised(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Batch norm by given statistics; PyTorch's own cannot be differentiated through them."""
    shape = [1, -1] + [1] * (x.dim() - 2)
    result = (x - mean.view(shape)) * (var.view(shape) + eps).rsqrt()
    if weight is not None:
        result = result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def _side_by_side(eps: float) -> Callable[..., Tensor]:
    """Return batch norm of many tasks in one call, with the channels of all side by side.

    vmap's own rule copies ``x`` and scales it in passes of its own.
    """

    def normalise(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        channels = x.movedim(0, 1)
        weight, bias = (None if value is None else value.flatten() for value in (weight, bias))
        result = F.batch_norm(channels.flatten(1, 2), None, None, weight, bias, True, 0.0, eps)
        return result.view(channels.shape).movedim(1, 0)

    return normalise
