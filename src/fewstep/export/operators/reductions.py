"""Sums, means, products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fewstep.export.writer import Value, Writer, writes

_aten = torch.ops.aten


def _reduce(w: Writer, kind: str, x: str, dims: Sequence[int] | None, keep: bool) -> Any:
    axes = [w.constant(list(dims))] if dims else []
    return w.node(kind, x, *axes, keepdims=int(keep))


@writes(_aten.sum.dim_IntList)
def _sum(
    w: Writer, x: Value, dims: Sequence[int] | None, keep: bool = False, *, dtype: Any = None
) -> Any:
    return _reduce(w, "ReduceSum", w.cast(x, w.dtype), dims, keep)


@writes(_aten.sum.default)
def _sum_all(w: Writer, x: Value, *, dtype: Any = None) -> Any:
    return _sum(w, x, None)


@writes(_aten.mean.dim)
def _mean(
    w: Writer, x: Value, dims: Sequence[int] | None, keep: bool = False, *, dtype: Any = None
) -> Any:
    return _reduce(w, "ReduceMean", w.cast(x, w.dtype), dims, keep)


@writes(_aten.mean.default)
def _mean_all(w: Writer, x: Value, *, dtype: Any = None) -> Any:
    return _mean(w, x, None)


@writes(_aten.amax.default)
def _amax(w: Writer, x: Value, dims: Sequence[int] = (), keep: bool = False) -> Any:
    return _reduce(w, "ReduceMax", x.name, dims, keep)


@writes(_aten.amin.default)
def _amin(w: Writer, x: Value, dims: Sequence[int] = (), keep: bool = False) -> Any:
    return _reduce(w, "ReduceMin", x.name, dims, keep)


@writes(_aten.any.dim)
def _any(w: Writer, x: Value, dim: int, keep: bool = False) -> Any:
    found = _reduce(w, "ReduceMax", w.cast(x, torch.int64), [dim], keep)
    return w.cast(Value(found, torch.int64, w.dims), torch.bool)


@writes(_aten.max.dim)
def _max(w: Writer, x: Value, dim: int, keep: bool = False) -> Any:
    place = w.node("ArgMax", x, axis=dim, keepdims=int(keep))
    return _reduce(w, "ReduceMax", x.name, [dim], keep), place


@writes(_aten.argmax.default)
def _argmax(w: Writer, x: Value, dim: int, keep: bool = False) -> Any:
    return w.node("ArgMax", x, axis=dim, keepdims=int(keep))


@writes(_aten.var.correction)
def _var(
    w: Writer, x: Value, dims: Sequence[int] | None = None, *, correction: Any = 1, keepdim: Any = 0
) -> Any:
    centred = w.node("Sub", x, _reduce(w, "ReduceMean", x.name, dims, True))
    square = w.node("Mul", centred, centred)
    if correction == 0:
        return _reduce(w, "ReduceMean", square, dims, bool(keepdim))
    total = _reduce(w, "ReduceSum", square, dims, bool(keepdim))
    sizes = [x.dims[dim] for dim in (dims or range(len(x.dims)))]
    many = w.node("Shape", x)
    many = w.node(
        "Gather", many, w.constant([dim % len(x.dims) for dim in dims or range(len(sizes))])
    )
    many = w.cast(Value(w.node("ReduceProd", many, keepdims=0), torch.int64, ()), w.dtype)
    return w.node("Div", total, w.node("Sub", many, w.constant(correction, w.dtype)))


@writes(_aten._softmax.default, _aten._safe_softmax.default)
def _softmax(w: Writer, x: Value, dim: int, *_: Any) -> Any:
    return w.node("Softmax", x, axis=dim)


@writes(_aten._log_softmax.default)
def _log_softmax(w: Writer, x: Value, dim: int, *_: Any) -> Any:
    return w.node("LogSoftmax", x, axis=dim)


@writes(_aten.cumsum.default)
def _cumsum(w: Writer, x: Value, dim: int, *, dtype: Any = None) -> Any:
    return w.node("CumSum", w.cast(x, w.dtype), w.constant(dim))


@writes(_aten.mm.default, _aten.bmm.default, _aten.mv.default, _aten.dot.default)
def _product(w: Writer, x: Value, y: Value) -> Any:
    return w.node("MatMul", x, y)


@writes(_aten.addmm.default, _aten.baddbmm.default)
def _add_product(
    w: Writer, start: Value, x: Value, y: Value, *, beta: float = 1, alpha: float = 1
) -> Any:
    if len(x.dims) == 2:
        return w.node("Gemm", x, y, start, alpha=float(alpha), beta=float(beta))
    found = w.node("MatMul", x, y)
    if alpha != 1:
        found = w.node("Mul", found, w.constant(alpha, w.dtype))
    if beta == 0:
        return found
    scaled = start.name if beta == 1 else w.node("Mul", start, w.constant(beta, w.dtype))
    return w.node("Add", found, scaled)
