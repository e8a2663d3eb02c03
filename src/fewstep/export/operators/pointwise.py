"""Operations on each number alone."""

from __future__ import annotations

import math
from typing import Any

import torch

from fewstep.export.writer import Value, Writer, writes

_aten = torch.ops.aten

_UNARY = {
    **{name: name.capitalize() for name in ("neg", "exp", "log", "sqrt", "abs", "sign", "tanh")},
    **{name: name.capitalize() for name in ("sigmoid", "relu", "erf", "sin", "cos", "floor")},
    **{name: name.capitalize() for name in ("ceil", "round", "reciprocal")},
}


def _enter_unary(name: str, kind: str) -> None:
    @writes(getattr(_aten, name).default)
    def write(w: Writer, x: Value) -> Any:
        return w.node(kind, w.cast(x, w.dtype))


for _name, _kind in _UNARY.items():
    _enter_unary(_name, _kind)


def _enter_binary(name: str, kind: str) -> None:
    packet = getattr(_aten, name)

    @writes(*(getattr(packet, overload) for overload in ("Tensor", "Scalar")))
    def write(w: Writer, x: Any, y: Any, *, alpha: float = 1) -> Any:
        other = w.cast(y, w.dtype)
        if alpha != 1:
            other = w.node("Mul", other, w.constant(alpha, w.dtype))
        return w.node(kind, w.cast(x, w.dtype), other)


for _name, _kind in (("add", "Add"), ("sub", "Sub"), ("mul", "Mul")):
    _enter_binary(_name, _kind)


@writes(_aten.div.Tensor, _aten.div.Scalar)
def _div(w: Writer, x: Any, y: Any) -> Any:
    return w.node("Div", w.cast(x, w.dtype), w.cast(y, w.dtype))


@writes(_aten.rsub.Scalar, _aten.rsub.Tensor)
def _rsub(w: Writer, x: Any, y: Any) -> Any:
    return w.node("Sub", w.cast(y, w.dtype), w.cast(x, w.dtype))


@writes(_aten.maximum.default)
def _maximum(w: Writer, x: Value, y: Value) -> Any:
    return w.node("Max", x, y)


@writes(_aten.minimum.default)
def _minimum(w: Writer, x: Value, y: Value) -> Any:
    return w.node("Min", x, y)


@writes(_aten.rsqrt.default)
def _rsqrt(w: Writer, x: Value) -> Any:
    return w.node("Reciprocal", w.node("Sqrt", x))


@writes(_aten.log1p.default)
def _log1p(w: Writer, x: Value) -> Any:
    return w.node("Log", w.node("Add", x, w.constant(1, w.dtype)))


@writes(_aten.expm1.default)
def _expm1(w: Writer, x: Value) -> Any:
    return w.node("Sub", w.node("Exp", x), w.constant(1, w.dtype))


@writes(_aten.pow.Tensor_Scalar, _aten.pow.Tensor_Tensor, _aten.pow.Scalar)
def _pow(w: Writer, x: Any, power: Any) -> Any:
    base = w.cast(x, w.dtype)
    if power in (1, 2, 3):
        once = base
        for _ in range(int(power) - 1):
            base = w.node("Mul", base, once)
        return base
    if power == 0.5:
        return w.node("Sqrt", base)
    return w.node("Pow", base, w.cast(power, w.dtype))


@writes(_aten.clamp.default, _aten.hardtanh.default)
def _clamp(w: Writer, x: Value, low: Any = None, high: Any = None) -> Any:
    ends = ["" if end is None else w.constant(end, w.dtype) for end in (low, high)]
    return w.node("Clip", w.cast(x, w.dtype), *ends)


@writes(_aten.clamp_min.default)
def _clamp_min(w: Writer, x: Value, low: Any) -> Any:
    return _clamp(w, x, low)


@writes(_aten.clamp_max.default)
def _clamp_max(w: Writer, x: Value, high: Any) -> Any:
    return _clamp(w, x, None, high)


@writes(_aten.leaky_relu.default)
def _leaky_relu(w: Writer, x: Value, slope: float = 0.01) -> Any:
    return w.node("LeakyRelu", x, alpha=slope)


@writes(_aten.elu.default)
def _elu(w: Writer, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Any:
    grown = w.node("Exp", w.node("Mul", x, w.constant(input_scale, w.dtype)))
    below = w.node("Sub", grown, w.constant(1, w.dtype))
    below = w.node("Mul", below, w.constant(alpha * scale, w.dtype))
    above = w.node("Mul", x, w.constant(scale, w.dtype))
    return w.node("Where", w.node("Greater", x, w.constant(0, w.dtype)), above, below)


@writes(_aten.gelu.default)
def _gelu(w: Writer, x: Value, approximate: str = "none") -> Any:
    half = w.node("Mul", x, w.constant(0.5, w.dtype))
    if approximate == "none":
        inside = w.node("Erf", w.node("Mul", x, w.constant(math.sqrt(0.5), w.dtype)))
    else:
        cube = w.node("Mul", w.node("Mul", x, x), x)
        bent = w.node("Add", x, w.node("Mul", cube, w.constant(0.044715, w.dtype)))
        inside = w.node("Tanh", w.node("Mul", bent, w.constant(math.sqrt(2 / math.pi), w.dtype)))
    return w.node("Mul", half, w.node("Add", inside, w.constant(1, w.dtype)))


@writes(_aten.where.self)
def _where(w: Writer, condition: Value, x: Any, y: Any) -> Any:
    return w.node("Where", condition, w.cast(x, w.dtype), w.cast(y, w.dtype))


def _enter_comparison(name: str, kind: str, negated: bool) -> None:
    packet = getattr(_aten, name)

    @writes(packet.Tensor, packet.Scalar)
    def write(w: Writer, x: Value, y: Any) -> Any:
        if isinstance(y, Value):
            common = torch.promote_types(x.dtype, y.dtype)
        else:
            common = torch.result_type(torch.empty(1, dtype=x.dtype), y)
        if common == torch.bool:
            common = torch.int64
        found = w.node(kind, w.cast(x, common), w.cast(y, common))
        return w.node("Not", found) if negated else found


for _name, _kind, _negated in (
    ("eq", "Equal", False),
    ("ne", "Equal", True),
    ("lt", "Less", False),
    ("le", "LessOrEqual", False),
    ("gt", "Greater", False),
    ("ge", "GreaterOrEqual", False),
):
    _enter_comparison(_name, _kind, _negated)


def _enter_logical(name: str, kind: str) -> None:
    operations = [getattr(_aten, f"logical_{name}").default]
    bitwise = getattr(_aten, f"bitwise_{name}")
    operations += [getattr(bitwise, "default" if name == "not" else "Tensor")]

    @writes(*operations)
    def write(w: Writer, *values: Value) -> Any:
        return w.node(kind, *(w.cast(value, torch.bool) for value in values))


for _name, _kind in (("and", "And"), ("or", "Or"), ("xor", "Xor"), ("not", "Not")):
    _enter_logical(_name, _kind)


@writes(_aten._to_copy.default)
def _to_copy(w: Writer, x: Value, **_: Any) -> Any:
    return w.cast(x, w.dtype)


@writes(_aten.clone.default)
def _clone(w: Writer, x: Value, **_: Any) -> Any:
    return x.name
