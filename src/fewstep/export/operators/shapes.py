"""Operations on the shape of tensors, and on their parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fewstep.errors import InputError
from fewstep.export.writer import Number, Value, Writer, writes

_aten = torch.ops.aten
_MOST = 2**31


@writes(_aten.view.default, _aten._unsafe_view.default, _aten.reshape.default)
def _view(w: Writer, x: Value, sizes: Sequence[Any]) -> Any:
    if w.dims.count(None) > 1:
        return w.node("Reshape", x, w.sizes(sizes))
    return w.node("Reshape", x, w.constant([-1 if s is None else s for s in w.dims]))


@writes(_aten.permute.default)
def _permute(w: Writer, x: Value, dims: Sequence[int]) -> Any:
    return w.node("Transpose", x, perm=[dim % len(dims) for dim in dims])


@writes(_aten.transpose.int)
def _transpose(w: Writer, x: Value, one: int, two: int) -> Any:
    order = list(range(len(x.dims)))
    order[one], order[two] = order[two], order[one]
    return w.node("Transpose", x, perm=order)


@writes(_aten.t.default)
def _t(w: Writer, x: Value) -> Any:
    return w.node("Transpose", x, perm=list(range(len(x.dims)))[::-1])


@writes(_aten.unsqueeze.default)
def _unsqueeze(w: Writer, x: Value, dim: int) -> Any:
    return w.node("Unsqueeze", x, w.constant([dim]))


@writes(_aten.squeeze.dims, _aten.squeeze.dim, _aten.squeeze.default)
def _squeeze(w: Writer, x: Value, dims: int | Sequence[int] | None = None) -> Any:
    return _view(w, x, ())


@writes(_aten.expand.default)
def _expand(w: Writer, x: Value, sizes: Sequence[Any], *, implicit: bool = False) -> Any:
    own = (*[1] * (len(w.dims) - len(x.dims)), *x.dims)
    if own == w.dims:
        return x.name
    pairs = zip(sizes, own, strict=True)
    wanted = [size if before == 1 and size != -1 else 1 for size, before in pairs]
    return w.node("Expand", x, w.sizes(wanted))


@writes(_aten.slice.Tensor)
def _slice(
    w: Writer, x: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    ends = [0 if start is None else start, _MOST if end is None else end]
    bounds = [
        w.sizes([place if isinstance(place, Number) else min(place, _MOST)]) for place in ends
    ]
    return w.node("Slice", x, *bounds, w.constant([dim]), w.constant([step]))


@writes(_aten.select.int)
def _select(w: Writer, x: Value, dim: int, index: int) -> Any:
    return w.node("Gather", x, w.constant(index), axis=dim)


@writes(_aten.slice_backward.default)
def _slice_backward(
    w: Writer, g: Value, sizes: Sequence[Any], dim: int, start: int, end: int, step: int
) -> Any:
    whole, own = w.dims[dim], g.dims[dim]
    if whole is None or own is None:
        raise InputError("the model takes some of the examples apart, which a file cannot say")
    name, many = g.name, own
    if step > 1:
        # Each number with zeros behind it.
        dim = dim % len(w.dims)
        pads = [0] * (2 * len(w.dims) + 2)
        pads[-1 - (len(w.dims) - dim - 1)] = step - 1
        name = w.node("Unsqueeze", name, w.constant([dim + 1]))
        name = w.node("Pad", name, w.constant(pads), w.constant(0, w.dtype))
        many *= step
        shape = [-1 if size is None else size for size in g.dims]
        shape[dim] = many
        name = w.node("Reshape", name, w.constant(shape))
    start = min(start + whole if start < 0 else start, whole)
    return _padded(w, name, dim, start, whole - start - many)


@writes(_aten.select_backward.default)
def _select_backward(w: Writer, g: Value, sizes: Sequence[Any], dim: int, index: int) -> Any:
    whole = w.dims[dim]
    if whole is None:
        raise InputError("the model takes one of the examples apart, which a file cannot say")
    index = index % whole
    name = w.node("Unsqueeze", g, w.constant([dim % len(w.dims)]))
    return _padded(w, name, dim, index, whole - index - 1)


def _padded(w: Writer, name: str, dim: int, before: int, behind: int) -> Any:
    dim, many = dim % len(w.dims), len(w.dims)
    pads = [0] * (2 * many)
    # Negative where zeros behind the last number reach too far.
    pads[dim], pads[many + dim] = before, behind
    return w.node("Pad", name, w.constant(pads), w.constant(0, w.dtype))


@writes(_aten.constant_pad_nd.default)
def _pad(w: Writer, x: Value, sides: Sequence[int], value: float = 0) -> Any:
    many = len(x.dims)
    pads = [0] * (2 * many)
    for number in range(len(sides) // 2):
        pads[many - 1 - number] = sides[2 * number]
        pads[2 * many - 1 - number] = sides[2 * number + 1]
    return w.node("Pad", x, w.constant(pads), w.constant(value, w.dtype))


@writes(_aten.cat.default)
def _cat(w: Writer, parts: Sequence[Value], dim: int = 0) -> Any:
    return w.node("Concat", *(w.cast(part, w.dtype) for part in parts), axis=dim)


@writes(_aten.stack.default)
def _stack(w: Writer, parts: Sequence[Value], dim: int = 0) -> Any:
    place = w.constant([dim % len(w.dims)])
    return w.node("Concat", *(w.node("Unsqueeze", p, place) for p in parts), axis=dim)


@writes(
    _aten.split_with_sizes.default, _aten.unsafe_split_with_sizes.default, _aten.split_copy.Tensor
)
def _split_with_sizes(w: Writer, x: Value, sizes: Sequence[int], dim: int = 0) -> Any:
    if len(sizes) == 1:
        return (x.name,)
    return w.node("Split", x, w.sizes(sizes), results=len(sizes), axis=dim)


@writes(_aten.split.Tensor, _aten.unsafe_split.Tensor)
def _split(w: Writer, x: Value, size: int, dim: int = 0) -> Any:
    whole = x.dims[dim]
    if whole is None:
        raise InputError("the model splits the examples, which a file cannot say")
    return _split_with_sizes(w, x, [min(size, whole - at) for at in range(0, whole, size)], dim)


@writes(_aten.unbind.int)
def _unbind(w: Writer, x: Value, dim: int = 0) -> Any:
    many = x.dims[dim]
    if many is None:
        raise InputError("the model takes the examples one by one, which a file cannot say")
    return tuple(w.node("Gather", x, w.constant(i), axis=dim) for i in range(many))


@writes(_aten.flip.default)
def _flip(w: Writer, x: Value, dims: Sequence[int]) -> Any:
    starts, ends, steps = ([value] * len(dims) for value in (-1, -_MOST, -1))
    return w.node("Slice", x, *(w.constant(v) for v in (starts, ends, list(dims), steps)))


@writes(_aten.repeat.default)
def _repeat(w: Writer, x: Value, times: Sequence[Any]) -> Any:
    name = x.name
    if len(times) > len(x.dims):
        name = w.node("Unsqueeze", x, w.constant(list(range(len(times) - len(x.dims)))))
    return w.node("Tile", name, w.sizes(times))


@writes(_aten.roll.default)
def _roll(w: Writer, x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Any:
    name = x.name
    if not dims:
        raise InputError("the model rolls a tensor without dimensions; name them, as in roll(1, 2)")
    for shift, dim in zip(shifts, dims, strict=True):
        first, last = (w.constant([value]) for value in (-shift, _MOST))
        axis, start = w.constant([dim]), w.constant([0])
        parts = w.node("Slice", name, first, last, axis), w.node("Slice", name, start, first, axis)
        name = w.node("Concat", *parts, axis=dim)
    return name
