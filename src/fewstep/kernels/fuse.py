"""Finds, in ``nn.Sequential``, the layers that can be computed as one operation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeGuard, TypeVar

from torch import Tensor, nn

from fewstep.kernels.layout import pays
from fewstep.kernels.norm_block import Block, norm_block
from fewstep.kernels.pooling import window_of

Layer = TypeVar("Layer", bound=nn.Module)


def fused(module: nn.Module) -> nn.Module:
    """A view of a module, with the same tensors and names, that computes blocks at once.

    Batch norm in training mode uses the statistics of each batch alone, and records none.
    """
    view = copy.copy(module)
    view._modules = {
        name: child if child is None else fused(child) for name, child in module._modules.items()
    }
    if type(module) is nn.Sequential:
        view.__class__ = _FusedSequential
    return view


class _FusedSequential(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        """What ``nn.Sequential`` computes."""
        for layers in _groups(list(self)):
            x = _computed(layers, x)
        return x


def _groups(layers: list[nn.Module]) -> Iterator[list[nn.Module]]:
    """The layers in order, those together that are computed at once."""
    while layers:
        size = int(_plain(layers[0], nn.Conv2d))
        if len(layers) > size and _plain(layers[size], nn.BatchNorm2d):
            size += 1
            for kind in (nn.ReLU, nn.MaxPool2d):
                size += len(layers) > size and _plain(layers[size], kind)
        size = max(size, 1)
        yield layers[:size]
        layers = layers[size:]


def _computed(layers: list[nn.Module], x: Tensor) -> Tensor:
    """What the layers of a group compute."""
    convolution, start = layers[0], int(len(layers) > 1 and _plain(layers[0], nn.Conv2d))
    norm = layers[start]
    if not (_plain(norm, nn.BatchNorm2d) and norm.training and pays(x)):
        for layer in layers:
            x = layer(x)
        return x
    if start and isinstance(convolution, nn.Conv2d):
        # Batch norm subtracts a bias again.
        x = convolution._conv_forward(x, convolution.weight, None)
    return norm_block(x, norm.weight, norm.bias, _block(norm, layers[start + 1 :]))


def _plain(layer: nn.Module, kind: type[Layer]) -> TypeGuard[Layer]:
    """Whether a layer is of this kind and does nothing else."""
    if isinstance(layer, nn.MaxPool2d) and layer.return_indices:
        return False
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)
    return type(layer) is kind and not any(hooks) and not layer._backward_pre_hooks


def _block(norm: nn.BatchNorm2d, after: list[nn.Module]) -> Block:
    pool = after[-1] if after else None
    window = None
    if isinstance(pool, nn.MaxPool2d):
        window = window_of(
            pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode
        )
    return Block(norm.eps, any(isinstance(layer, nn.ReLU) for layer in after), window)
