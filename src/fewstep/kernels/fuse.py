"""Finds, in ``nn.Sequential``, the layers that can be computed as one operation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from fewstep.compilation import CompiledFunctions
from fewstep.kernels.block import Block
from fewstep.kernels.block_compiled import CompiledSteps, can_be_compiled
from fewstep.kernels.block_eager import EAGER
from fewstep.kernels.conv_block import ConvBlock, conv_block
from fewstep.kernels.convolution import geometry_of
from fewstep.kernels.layout import pays
from fewstep.kernels.norm_block import norm_block
from fewstep.kernels.pooling import window_of
from fewstep.kernels.tasks import under_vmap

Layer = TypeVar("Layer", bound=nn.Module)


def fused(module: nn.Module, functions: CompiledFunctions | None = None) -> nn.Module:
    """A view of a module, with the same tensors and names, that computes blocks at once.

    Batch norm in training mode uses the statistics of each batch alone, and records none.

    Args:
        module: Any module.
        functions: To compile the arithmetic of blocks with; None for PyTorch's operations.
    """
    view = copy.copy(module)
    view._modules = {
        name: None if child is None else fused(child, functions)
        for name, child in module._modules.items()
    }
    if type(module) is nn.Sequential:
        view.__class__ = _FusedSequential
        assert isinstance(view, _FusedSequential)
        view.functions = functions
    return view


def has_blocks(module: nn.Module) -> bool:
    """Whether there are blocks that `fused` computes at once where the pictures allow it."""
    return any(
        type(part) is nn.Sequential
        and any(_plain(layer, nn.BatchNorm2d) and layer.training for layer in part)
        for part in module.modules()
    )


class _FusedSequential(nn.Sequential):
    functions: CompiledFunctions | None

    def forward(self, x: Tensor) -> Tensor:
        """What ``nn.Sequential`` computes."""
        for layers in _groups(list(self)):
            x = _computed(layers, x, self.functions)
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


def _computed(layers: list[nn.Module], x: Tensor, functions: CompiledFunctions | None) -> Tensor:
    """What the layers of a group compute."""
    convolution, start = layers[0], int(len(layers) > 1 and _plain(layers[0], nn.Conv2d))
    norm = layers[start]
    if not (_plain(norm, nn.BatchNorm2d) and norm.training and pays(x)):
        for layer in layers:
            x = layer(x)
        return x
    block, steps = _block(norm, layers[start + 1 :]), EAGER
    # What is computed once, without a gradient, is not worth code of its own.
    wanted = functions is not None and not functions.given_up and torch.is_grad_enabled()
    if functions is not None and wanted and can_be_compiled(x, block):
        steps = CompiledSteps(functions)
    if not start or not isinstance(convolution, nn.Conv2d):
        return norm_block(x, norm.weight, norm.bias, block, steps)
    geometry = geometry_of(convolution)
    tensors = (x, convolution.weight, norm.weight, norm.bias)
    if geometry is None or not norm.affine or under_vmap(*tensors):
        # Without the bias, which batch norm would subtract again.
        x = convolution._conv_forward(x, convolution.weight, None)
        return norm_block(x, norm.weight, norm.bias, block, steps)
    return conv_block(*tensors, ConvBlock(geometry, block, steps))


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
