"""Operations that take or put numbers by their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fewstep.errors import InputError
from fewstep.export.writer import Value, Writer, writes

_aten = torch.ops.aten


@writes(_aten.gather.default)
def _gather(w: Writer, x: Value, dim: int, index: Value, **_: Any) -> Any:
    return w.node("GatherElements", x, w.cast(index, torch.int64), axis=dim)


@writes(_aten.scatter.value)
def _scatter_value(w: Writer, x: Value, dim: int, index: Value, value: float) -> Any:
    updates = w.node("Expand", w.constant(value, w.dtype), w.node("Shape", index))
    return w.node("ScatterElements", x, index, updates, axis=dim)


@writes(_aten.scatter.src)
def _scatter(w: Writer, x: Value, dim: int, index: Value, source: Value) -> Any:
    return w.node("ScatterElements", x, index, source, axis=dim)


@writes(_aten.scatter_add.default)
def _scatter_add(w: Writer, x: Value, dim: int, index: Value, source: Value) -> Any:
    return w.node("ScatterElements", x, index, source, axis=dim, reduction="add")


@writes(_aten.index_select.default)
def _index_select(w: Writer, x: Value, dim: int, index: Value) -> Any:
    return w.node("Gather", x, index, axis=dim)


@writes(_aten.embedding.default)
def _embedding(w: Writer, weight: Value, index: Value, *_: Any) -> Any:
    return w.node("Gather", weight, index, axis=0)


@writes(_aten.index.Tensor)
def _index(w: Writer, x: Value, indices: Sequence[Value | None]) -> Any:
    given = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    if len(given) != 1 or given[0][1].dtype == torch.bool:
        raise InputError(
            "the model indexes by several tensors or by a mask, which fewstep does not write as "
            "ONNX; use torch.where or one index"
        )
    ((dim, index),) = given
    return w.node("Gather", x, index, axis=dim)


@writes(_aten.index_put.default, _aten._unsafe_index_put.default)
def _index_put(
    w: Writer, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False
) -> Any:
    if len(indices) != 1 or indices[0] is None or indices[0].dtype == torch.bool:
        raise InputError(
            "the model writes by several indices or by a mask, which fewstep does not write as "
            "ONNX; use torch.where or one index"
        )
    index = w.node("Unsqueeze", indices[0], w.constant([-1]))
    reduction = "add" if accumulate else "none"
    return w.node("ScatterND", x, index, values, reduction=reduction)
