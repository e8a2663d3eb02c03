"""Blocks of layers in ``nn.Sequential`` that are computed as one operation."""

from collections.abc import Iterator
from typing import NamedTuple, TypeGuard, TypeVar

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from fewstep.ops.block import Block
from fewstep.ops.conv import Geometry, geometry_of
from fewstep.ops.first_block import Patches, first_block, patches_of, use_folding
from fewstep.ops.layout import use_fast_path
from fewstep.ops.max_pool import window_of
from fewstep.ops.norm_block import norm_block
from fewstep.ops.vmap import under_vmap
from fewstep.ops.written_out import are_written_out

Layer = TypeVar("Layer", bound=nn.Module)


class FusedForward:
    """The ``forward`` of exactly an ``nn.Sequential``, which computes blocks at once.

    Batch norm in training mode uses the statistics of each batch alone, and records none.
    ``inputs_repeat``: it will be called more than once with the same examples.
    """

    def __init__(self, sequential: nn.Sequential, inputs_repeat: bool) -> None:
        self._sequential = sequential
        self._inputs_repeat = inputs_repeat
        self._kept: tuple[object, Tensor, Patches] | None = None

    def __call__(self, input: Tensor) -> Tensor:
        """Compute what ``nn.Sequential`` computes."""
        x = input
        for part in _parts(list(self._sequential)):
            if isinstance(part, nn.Module):
                x = part(x)
            elif part.norm.training and part.convolution is not None and are_written_out():
                # Batch norm would subtract a bias again.
                x = part.convolution._conv_forward(x, part.convolution.weight, None)
                for layer in filter(None, part[1:]):
                    x = layer(x)
            elif part.norm.training and use_fast_path(x) and not are_written_out():
                x = self._at_once(part, x)
            else:
                for layer in filter(None, part):
                    x = layer(x)
        return x

    def _at_once(self, layers: "_Layers", x: Tensor) -> Tensor:
        convolution, norm, *_ = layers
        block = _block(layers)
        if convolution is not None:
            weight, geometry = convolution.weight, _geometry(convolution)
            if geometry is not None and norm.weight is not None and norm.bias is not None:
                # vmap makes another tensor of the same examples every time.
                repeat = self._inputs_repeat and not under_vmap(x)
                if use_folding(x, weight, geometry, repeat):
                    patches = self._patches_of(x, convolution, geometry, repeat)
                    return first_block(x, patches, weight, norm.weight, norm.bias, geometry, block)
            # Batch norm would subtract a bias again.
            x = convolution._conv_forward(x, weight, None)
        return norm_block(x, norm.weight, norm.bias, block)

    def _patches_of(
        self, x: Tensor, convolution: nn.Conv2d, geometry: Geometry, inputs_repeat: bool
    ) -> Patches:
        """Return patches, kept for the next inner step, which comes with the same examples."""
        size = (convolution.weight.shape[2], convolution.weight.shape[3])
        if not inputs_repeat:
            return patches_of(x, size, geometry)
        key = (x.data_ptr(), x.shape, x.stride(), x._version, convolution)
        if self._kept is None or self._kept[0] != key:
            # Each call has an alias of the examples. The one that is kept keeps their memory from
            # becoming another tensor's.
            self._kept = (key, x, patches_of(x, size, geometry))
        return self._kept[2]


def fused_forward(module: nn.Module, inputs_repeat: bool = False) -> FusedForward | None:
    """Return another ``forward`` for a module where that computes the same faster, else None.

    It can be told from the module's own by nothing but its speed: the module is exactly an
    ``nn.Sequential``, and what is computed at once are exactly the known layers, as they come.
    """
    if not is_untouched(module, nn.Sequential):
        return None
    has_layers = any(isinstance(part, _Layers) for part in _parts(list(module)))
    return FusedForward(module, inputs_repeat) if has_layers else None


def has_blocks(module: nn.Module) -> bool:
    """Whether there are blocks that are computed at once where the pictures allow it."""
    return any(
        is_untouched(part, nn.Sequential)
        and any(is_untouched(layer, nn.BatchNorm2d) and layer.training for layer in part)
        for part in module.modules()
    )


class _Layers(NamedTuple):
    """Layers that can be computed at once."""

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
    if layers and is_untouched(layers[0], kind) and not getattr(layers[0], "return_indices", False):
        return layers[0], layers[1:]
    return None, layers


def is_untouched(layer: nn.Module, kind: type[Layer]) -> TypeGuard[Layer]:
    """Whether a layer is exactly of this kind, and calling it does nothing else."""
    if type(layer) is not kind or kind.forward is not _FORWARDS[kind]:
        return False
    if "forward" in layer.__dict__ or "_conv_forward" in layer.__dict__:
        return False
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks)
    compiled = layer._compiled_call_impl is not None
    return not (any(hooks) or layer._backward_pre_hooks or compiled or _has_any_global_hook())


def _block(layers: _Layers) -> Block:
    window = None
    if p := layers.pool:
        window = window_of(p.kernel_size, p.stride, p.padding, p.dilation, p.ceil_mode)
    return Block(layers.norm.eps, layers.relu is not None, window)


def _geometry(layer: nn.Conv2d) -> Geometry | None:
    """None where the layer pads in a way of its own."""
    if layer.padding_mode != "zeros":
        return None
    return geometry_of(layer.stride, layer.padding, layer.dilation, layer.groups)


_FORWARDS: dict[type[nn.Module], object] = {
    kind: kind.forward for kind in (nn.Sequential, nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)
}
"""PyTorch's own; somebody may have put another in their place for all layers."""
