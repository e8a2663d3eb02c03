"""Convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from fewstep.errors import InputError
from fewstep.export.writer import Value, Writer, writes

_aten = torch.ops.aten


@writes(_aten.convolution.default)
def _convolution(
    w: Writer,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    how: dict[str, Any] = {
        "strides": list(stride),
        "pads": [*padding, *padding],
        "dilations": list(dilation),
        "group": groups,
    }
    given = [x, weight, *([] if bias is None else [bias])]
    if not transposed:
        return w.node("Conv", *given, **how)
    return w.node("ConvTranspose", *given, output_padding=list(output_padding), **how)


@writes(_aten.max_pool2d_with_indices.default)
def _max_pool2d(
    w: Writer,
    x: Value,
    size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    found, place = w.node(
        "MaxPool",
        x,
        results=2,
        kernel_shape=list(size),
        strides=list(stride or size),
        pads=[*padding, *padding] if len(padding) == 2 else [padding[0]] * 4,
        dilations=list(dilation) if len(dilation) == 2 else [dilation[0]] * 2,
        ceil_mode=int(ceil_mode),
    )
    # Among the pixels of its picture, and not of all.
    height, width = x.dims[-2:]
    if height is None or width is None:
        raise InputError("the model pools over the examples, which a file cannot say")
    return found, w.node("Mod", place, w.constant(height * width))


@writes(_aten.avg_pool2d.default)
def _avg_pool2d(
    w: Writer,
    x: Value,
    size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Any:
    found = w.node(
        "AveragePool",
        x,
        kernel_shape=list(size),
        strides=list(stride or size),
        pads=[*padding, *padding],
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad),
    )
    if divisor is None:
        return found
    return w.node("Mul", found, w.constant(prod(size) / divisor, w.dtype))
