"""Recorded operations as an ONNX graph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, fx

from fewstep.errors import InputError
from fewstep.export.program import Dims, Operations

OPSET, IR_VERSION = 18, 8
"""Versions that runtimes of 2023 and later read."""

EXAMPLES = "examples"  # the size that may be any
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

    def hold(self, name: str, value: Tensor) -> Value:
        """A tensor of the file, under a name."""
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


def model_of(
    operations: Operations, name: str, about: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """The ONNX model of recorded operations, with metadata.

    Raises:
        InputError: It has no operator for one of them.
    """
    from fewstep.export import operators  # noqa: F401  (enters what writes them)

    writer = Writer()
    known: dict[fx.Node, Any] = {}
    inputs = []
    names = iter((*operations.inputs, *operations.constants))
    for node in operations.graph.graph.nodes:
        if node.op == "placeholder":
            given = next(names)
            if given in operations.constants:
                # What a file starts from, its result has the name of.
                held = f"initial.{given}" if given in operations.outputs else given
                known[node] = writer.hold(held, operations.constants[given])
            else:
                known[node] = Value(given, node.meta["dtype"], node.meta["dims"])
                inputs.append(_info(known[node]))
        elif node.op == "get_attr":
            known[node] = writer.hold(node.target, getattr(operations.graph, node.target))
        elif node.op == "call_function":
            known[node] = _written(writer, node, known)
    (results,) = operations.graph.graph.output_node().args
    outputs = []
    for output, node in zip(operations.outputs, results, strict=True):
        value = known[node]._replace(name=output)
        writer._nodes.append(helper.make_node("Identity", [known[node].name], [output]))
        outputs.append(_info(value))
    graph = writer.graph(name, inputs, outputs)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="fewstep"
    )
    helper.set_model_props(model, dict(about or {}))
    onnx.checker.check_model(model)
    return model


def _info(value: Value) -> onnx.ValueInfoProto:
    dims = [EXAMPLES if size is None else size for size in value.dims]
    return helper.make_tensor_value_info(value.name, type_of(value.dtype), dims)


def _written(writer: Writer, node: fx.Node, known: Mapping[fx.Node, Any]) -> Any:
    args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), known.__getitem__)
    if node.target is operator.getitem:
        value = args[0][args[1]]
        return Value(value, node.meta["dtype"], node.meta["dims"])
    if node.target in _OF_NUMBERS:
        return _OF_NUMBERS[node.target](writer, *args)
    handler = HANDLERS.get(node.target)
    if handler is None:
        raise InputError(
            f"the model uses {node.target}, which fewstep does not write as ONNX; use another "
            "operation for it, or format pt2"
        )
    writer.dtype, writer.dims = node.meta.get("dtype", torch.float32), node.meta.get("dims", ())
    found = handler(writer, *args, **kwargs)
    return Value(found, writer.dtype, writer.dims) if isinstance(found, str) else found


def _size(writer: Writer, value: Value, dim: int) -> Number:
    shape = writer.node("Shape", value, start=dim, end=dim + 1)
    return Number(writer.node("Squeeze", shape, writer.constant([0])))


def _arithmetic(kind: str) -> Handler:
    def write(writer: Writer, one: Any, two: Any) -> Number:
        dtype = torch.float32 if kind == "Div" else torch.int64
        names = [writer.cast(value, dtype) for value in (one, two)]
        return Number(writer.node(kind, *names))

    return write


_OF_NUMBERS: dict[Any, Handler] = {
    torch.ops.aten.sym_size.int: _size,
    operator.mul: _arithmetic("Mul"),
    operator.add: _arithmetic("Add"),
    operator.truediv: _arithmetic("Div"),
}
