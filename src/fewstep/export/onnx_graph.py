"""Recorded operations as an ONNX model."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from typing import Any

import onnx
import torch
from onnx import helper
from torch import fx

from fewstep.errors import InputError
from fewstep.export.operators import HANDLERS
from fewstep.export.program import Operations
from fewstep.export.writer import Handler, Number, Value, Writer, type_of

OPSET, IR_VERSION = 18, 8
"""Versions that runtimes of 2023 and later read."""

EXAMPLES = "examples"  # the size that may be any


def model_of(
    operations: Operations,
    name: str,
    about: Mapping[str, str] | None = None,
    in_eight_bits: Collection[str] = (),
) -> onnx.ModelProto:
    """The ONNX model of recorded operations.

    Args:
        operations: What it computes.
        name: Of the graph.
        about: The metadata.
        in_eight_bits: Names of constants that are kept in eight bits.

    Raises:
        InputError: It has no operator for one of them.
    """
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
                value, few = operations.constants[given], given in in_eight_bits
                known[node] = writer.hold(held, value, in_eight_bits=few)
            else:
                known[node] = Value(given, node.meta["dtype"], node.meta["dims"])
                inputs.append(_info(known[node]))
        elif node.op == "get_attr":
            known[node] = writer.hold(node.target, getattr(operations.graph, node.target))
        elif node.op == "call_function":
            known[node] = _written(writer, node, known)
    results: Any = operations.graph.graph.output_node().args[0]
    named = zip(operations.outputs, results, strict=True)
    outputs = [_info(writer.result(known[node], output)) for output, node in named]
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
    given: Any = node.args, dict(node.kwargs)
    args: Any
    kwargs: Any
    args, kwargs = fx.map_arg(given, known.__getitem__)
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
