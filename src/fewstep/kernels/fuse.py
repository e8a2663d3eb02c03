"""Finds, in ``nn.Sequential``, the layers that can be computed as one operation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple, TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from fewstep.compilation import CompiledFunctions
from fewstep.kernels.block import Block, Steps
from fewstep.kernels.block_compiled import CompiledSteps, can_be_compiled
from fewstep.kernels.block_eager import EAGER
from fewstep.kernels.conv_block import ConvBlock, conv_block
from fewstep.kernels.convolution import Geometry, geometry_of
from fewstep.kernels.first_block import Patches, first_block, patches_of, pays_folded
from fewstep.kernels.layout import pays
from fewstep.kernels.norm_block import norm_block
from fewstep.kernels.pooling import window_of
from fewstep.kernels.tasks import under_vmap
from fewstep.structure import Latest

Layer = TypeVar("Layer", bound=nn.Module)


def fused(
    module: nn.Module, functions: CompiledFunctions | None = None, again: bool = False
) -> nn.Module:
    """A view of a module, with the same tensors and names, that computes blocks at once.

    Batch norm in training mode uses the statistics of each batch alone, and records none.

    Args:
        module: Any module.
        functions: To compile the arithmetic of blocks with; None for PyTorch's operations.
        again: Whether it will be called more than once with the same examples.
    """
    view = copy.copy(module)
    view._modules = {
        name: None if child is None else fused(child, functions, again)
        for name, child in module._modules.items()
    }
    if type(module) is nn.Sequential:
        view.__class__ = _FusedSequential
        assert isinstance(view, _FusedSequential)
        view._how = _How(functions, again, Latest())
    return view


def has_blocks(module: nn.Module) -> bool:
    """Whether there are blocks that `fused` computes at once where the pictures allow it."""
    return any(
        type(part) is nn.Sequential
        and any(_plain(layer, nn.BatchNorm2d) and layer.training for layer in part)
        for part in module.modules()
    )


class _How(NamedTuple):
    """How a view computes; one attribute, whose name is no layer's.

    Attributes:
        functions: As `fused` takes them.
        again: Likewise.
        patches: Those of the latest examples.
    """

    functions: CompiledFunctions | None
    again: bool
    patches: Latest[Patches]


class _FusedSequential(nn.Sequential):
    _how: _How

    def forward(self, x: Tensor) -> Tensor:
        """What ``nn.Sequential`` computes."""
        for part in _parts(list(self)):
            if isinstance(part, nn.Module):
                x = part(x)
            elif part.norm.training and pays(x):
                x = self._at_once(part, x)
            else:
                for layer in filter(None, part):
                    x = layer(x)
        return x

    def _at_once(self, layers: _Layers, x: Tensor) -> Tensor:
        convolution, norm, *_ = layers
        block = _block(layers)
        steps = _steps(block, self._how.functions)
        if convolution is None:
            return norm_block(x, norm.weight, norm.bias, block, steps)
        geometry = geometry_of(convolution)
        weight = convolution.weight
        tensors = (weight, norm.weight, norm.bias)
        if geometry is not None and norm.affine:
            # vmap makes another tensor of the same examples every time.
            again = self._how.again and not under_vmap(x)
            if pays_folded(x, weight, geometry, again):
                patches = self._patches(x, convolution, geometry, again)
                return first_block(x, patches, *tensors, geometry, block)
            if not under_vmap(x, *tensors):
                return conv_block(x, *tensors, ConvBlock(geometry, block, steps))
        # Batch norm would subtract a bias again.
        x = convolution._conv_forward(x, weight, None)
        return norm_block(x, norm.weight, norm.bias, block, steps)

    def _patches(
        self, x: Tensor, convolution: nn.Conv2d, geometry: Geometry, again: bool
    ) -> Patches:
        """Kept for the next inner step, which comes with the same tensor."""
        size = (convolution.weight.shape[2], convolution.weight.shape[3])
        if not again:
            return patches_of(x, size, geometry)
        made_of = [x, x._version, convolution]
        return self._how.patches.of(made_of, lambda: patches_of(x, size, geometry), lambda _: True)


class _Layers(NamedTuple):
    """What can be computed at once."""

    convolution: nn.Conv2d | None
    norm: nn.BatchNorm2d
    relu: nn.ReLU | None
    pool: nn.MaxPool2d | None


def _parts(layers: list[nn.Module]) -> Iterator[nn.Module | _Layers]:
    """The layers in order, those together that can be computed at once."""
    while layers:
        convolution, rest = _first(layers, nn.Conv2d)
        norm, rest = _first(rest, nn.BatchNorm2d)
        if norm is None:
            yield layers[0]
            layers = layers[1:]
            continue
        relu, rest = _first(rest, nn.ReLU)
        pool, layers = _first(rest, nn.MaxPool2d)
        yield _Layers(convolution, norm, relu, pool)


def _first(layers: list[nn.Module], kind: type[Layer]) -> tuple[Layer | None, list[nn.Module]]:
    """The first layer if it is of this kind, and what is left."""
    if layers and _plain(layers[0], kind):
        return layers[0], layers[1:]
    return None, layers


def _plain(layer: nn.Module, kind: type[Layer]) -> TypeGuard[Layer]:
    """Whether a layer is of this kind and does nothing else."""
    if isinstance(layer, nn.MaxPool2d) and layer.return_indices:
        return False
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)
    return type(layer) is kind and not any(hooks) and not layer._backward_pre_hooks


def _block(layers: _Layers) -> Block:
    pool, window = layers.pool, None
    if pool is not None:
        window = window_of(
            pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode
        )
    return Block(layers.norm.eps, layers.relu is not None, window)


def _steps(block: Block, functions: CompiledFunctions | None) -> Steps:
    if functions is None or functions.given_up or not can_be_compiled(block):
        return EAGER
    # What is computed once, without a gradient, is not worth code of its own.
    return CompiledSteps(functions) if torch.is_grad_enabled() else EAGER
