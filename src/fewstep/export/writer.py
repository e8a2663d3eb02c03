"""Writes the nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from fewstep.export.eight_bits import quantised
from fewstep.export.program import Dims

Array = npt.NDArray[Any]


class Value(NamedTuple):
    """A tensor of the graph."""

    name: str
    dtype: torch.dtype
    dims: Dims


class Number(NamedTuple):
    """A number of the graph that depends on the number of examples."""

    name: str


Handler = Callable[..., Any]
HANDLERS: dict[Any, Handler] = {}
"""How operations are written, by ``torch.ops.aten`` overload: functions of a `Writer` and of the
operation's arguments, that return the name of the result."""


def writes(*targets: Any) -> Callable[[Handler], Handler]:
    """Enter a function as that which writes some operations."""

    def enter(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(targets, handler))
        return handler

    return enter


def type_of(dtype: torch.dtype) -> int:
    """The type of numbers in the file: there is one of each kind, which every runtime has."""
    if dtype == torch.bool:
        return int(onnx.TensorProto.BOOL)
    return int(onnx.TensorProto.FLOAT if dtype.is_floating_point else onnx.TensorProto.INT64)


def as_array(value: Any, dtype: torch.dtype) -> Array:
    """A number, or a tensor, as the file holds it."""
    values = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return values.astype(helper.tensor_dtype_to_np_dtype(type_of(dtype)))


class Writer:
    """Writes the nodes of a graph.

    Attributes:
        dtype: Of the result of the operation that is written.
        dims: Its sizes.
    """

    def __init__(self) -> None:
        self.dtype, self.dims = torch.float32, ()  # type: torch.dtype, Dims
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[Any, onnx.TensorProto] = {}
        self._number = 0

    def node(self, kind: str, *inputs: Any, results: int = 1, **attributes: Any) -> Any:
        """Write a node, and return the name of its result, or those of several."""
        names = [value if isinstance(value, str) else value.name for value in inputs]
        found = [self._new(kind) for _ in range(results)]
        self._nodes.append(helper.make_node(kind, names, found, **attributes))
        return found[0] if results == 1 else tuple(found)

    def constant(self, value: Any, dtype: torch.dtype = torch.int64) -> str:
        """The name of a constant: a number, a list, or an array."""
        array = as_array(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._tensors:
            self._tensors[key] = numpy_helper.from_array(array, self._new("constant"))
        return str(self._tensors[key].name)

    def hold(self, name: str, value: Tensor, *, in_eight_bits: bool = False) -> Value:
        """A tensor of the file, under a name."""
        if in_eight_bits:
            whole, scale = quantised(value)
            for ending, part in (("", whole), (".scale", scale)):
                self._tensors[name + ending] = numpy_helper.from_array(part.numpy(), name + ending)
            found = self.node("DequantizeLinear", name, f"{name}.scale", axis=0)
            return Value(found, value.dtype, tuple(value.shape))
        self._tensors[name] = numpy_helper.from_array(as_array(value, value.dtype), name)
        return Value(name, value.dtype, tuple(value.shape))

    def cast(self, value: Any, dtype: torch.dtype) -> str:
        """The name of a tensor or a number as one of another type."""
        if isinstance(value, Number):
            return str(self.node("Cast", value, to=type_of(dtype)))
        if not isinstance(value, Value):
            return self.constant(value, dtype)
        if type_of(value.dtype) == type_of(dtype):
            return value.name
        return str(self.node("Cast", value, to=type_of(dtype)))

    def sizes(self, sizes: Sequence[Any]) -> str:
        """The name of a list of sizes, of which some are numbers of the graph."""
        if all(isinstance(size, int) for size in sizes):
            return self.constant(list(sizes))
        one = self.constant([1])
        parts = [
            self.constant([size]) if isinstance(size, int) else self.node("Reshape", size, one)
            for size in sizes
        ]
        return str(parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0))

    def result(self, value: Value, name: str) -> Value:
        """A tensor as a result of the graph, under a name."""
        self._nodes.append(helper.make_node("Identity", [value.name], [name]))
        return value._replace(name=name)

    def graph(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Iterable[Any]
    ) -> onnx.GraphProto:
        """The whole graph."""
        return helper.make_graph(
            self._nodes, name, inputs, list(outputs), list(self._tensors.values())
        )

    def _new(self, kind: str) -> str:
        self._number += 1
        # No attribute of a module has such a name.
        return f"{kind}:{self._number}"
