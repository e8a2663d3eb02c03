"""Tensors of one number, of counts, and copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fewstep.export.writer import Number, Value, Writer, writes

_aten = torch.ops.aten


@writes(_aten.full.default)
def _full(w: Writer, sizes: Sequence[Any], value: float, **_: Any) -> Any:
    filling = w.constant(value, w.dtype)
    return w.node("Expand", filling, w.sizes(sizes)) if sizes else filling


@writes(_aten.scalar_tensor.default)
def _scalar(w: Writer, value: float, **_: Any) -> Any:
    return w.constant(value, w.dtype)


@writes(_aten.full_like.default)
def _full_like(w: Writer, x: Value, value: float, **_: Any) -> Any:
    if not w.dims:
        return w.constant(value, w.dtype)
    return w.node("Expand", w.constant(value, w.dtype), w.node("Shape", x))


@writes(_aten.fill.Scalar)
def _fill(w: Writer, x: Value, value: float) -> Any:
    return _full_like(w, x, value)


@writes(_aten.zero.default, _aten.zeros_like.default)
def _zero(w: Writer, x: Value, **_: Any) -> Any:
    return _full_like(w, x, 0)


@writes(_aten.ones_like.default)
def _one(w: Writer, x: Value, **_: Any) -> Any:
    return _full_like(w, x, 1)


@writes(_aten.zeros.default, _aten.new_zeros.default)
def _zeros(w: Writer, *given: Any, **_: Any) -> Any:
    return _full(w, given[-1], 0)


@writes(_aten.ones.default, _aten.new_ones.default)
def _ones(w: Writer, *given: Any, **_: Any) -> Any:
    return _full(w, given[-1], 1)


@writes(_aten.copy.default)
def _copy(w: Writer, x: Value, source: Value, *_: Any) -> Any:
    name = w.cast(source, w.dtype)
    return name if source.dims == x.dims else w.node("Expand", name, w.node("Shape", x))


@writes(_aten.arange.start_step)
def _arange(w: Writer, start: Any, end: Any, step: Any = 1, **_: Any) -> Any:
    if not any(isinstance(end, Number) for end in (start, end, step)):
        return w.constant(np.arange(start, end, step), w.dtype)
    return w.node("Range", *(w.cast(place, w.dtype) for place in (start, end, step)))
