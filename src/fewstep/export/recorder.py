"""Operations of a function of tensors, recorded while it is computed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep.errors import InputError
from fewstep.export.decompositions import TABLE

_aten = torch.ops.aten
_LOOKS = {_aten._local_scalar_dense.default, _aten.equal.default, _aten.is_nonzero.default}


class _Known(NamedTuple):
    """A tensor that was recorded."""

    tensor: Tensor  # held, so that its place in memory stays its own
    node: fx.Node
    memory: object  # shared by all views of it
    writes: int  # to that memory until then


class Recorder(TorchDispatchMode):
    """Records what is computed inside, that of autograd too, as a graph of ``torch.ops.aten``.

    What changes a tensor in place is recorded as what returns another one.

    Args:
        given: The function's tensors; each is a placeholder of the graph.
    """

    def __init__(self, given: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.constants: dict[str, Tensor] = {}
        self._known: dict[int, _Known] = {}
        self._writes: dict[object, int] = {}
        for number, tensor in enumerate(given.values()):
            self._note(tensor, self.graph.placeholder(f"given_{number}"), object())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _LOOKS:
            raise InputError(
                f"the model looks at the values of tensors ({func}), which a file of operations "
                "cannot; let it compute without if and float()"
            )
        if func in TABLE:
            with self:
                found = TABLE[func](*args, **kwargs)
            if found is not NotImplemented:
                return found
        if func._can_decompose():
            with self:
                return func.decompose(*args, **kwargs)
        found = func(*args, **kwargs)
        self._record(func, args, kwargs, found)
        return found

    def finish(self, outputs: list[Tensor]) -> fx.Graph:
        """The graph, with these tensors as its results."""
        self.graph.output([self._node(tensor) for tensor in outputs])
        self.graph.eliminate_dead_code()
        return self.graph

    def _record(self, func: Any, args: Any, kwargs: Any, found: Any) -> None:
        nodes = map_aggregate((args, kwargs), self._node_or_value)
        writes = func._schema.is_mutable
        node = self.graph.call_function(_functional(func) if writes else func, *nodes)
        if isinstance(found, Tensor):
            if writes:
                self._write(found, node)
            else:
                self._note(found, node, self._memory(func, args, found))
            return
        for number, value in enumerate(found if isinstance(found, list | tuple) else ()):
            if isinstance(value, Tensor):
                item = self.graph.call_function(operator.getitem, (node, number))
                self._note(value, item, self._memory(func, args, value))

    def _memory(self, func: Any, args: Any, found: Tensor) -> object:
        """That of the tensor which a result is a view of, else one of its own."""
        first = args[0] if args and isinstance(args[0], Tensor) else None
        shared = first is not None and _storage(first) == _storage(found)
        if first is None or not shared or "unsafe" in func._schema.name:
            return object()
        return self._known[id(first)].memory

    def _note(self, tensor: Tensor, node: fx.Node, memory: object) -> None:
        node.meta.update(shape=tuple(tensor.shape), dtype=tensor.dtype)
        self._known[id(tensor)] = _Known(tensor, node, memory, self._writes.get(memory, 0))

    def _write(self, tensor: Tensor, node: fx.Node) -> None:
        memory = self._known[id(tensor)].memory
        self._writes[memory] = self._writes.get(memory, 0) + 1
        self._note(tensor, node, memory)

    def _node_or_value(self, value: Any) -> Any:
        return self._node(value) if isinstance(value, Tensor) else value

    def _node(self, tensor: Tensor) -> fx.Node:
        known = self._known.get(id(tensor))
        if known is None:
            name = f"held_{len(self.constants)}"
            self.constants[name] = tensor.detach()
            self._note(tensor, self.graph.get_attr(name), object())
            return self._known[id(tensor)].node
        if known.writes != self._writes.get(known.memory, 0):
            raise InputError(
                "the model changes a part of a tensor in place and goes on with the whole, which "
                "a file of operations cannot say; let it make a new tensor, as by torch.cat"
            )
        return known.node


def _functional(func: Any) -> Any:
    """The operation that returns what another one writes to its first argument."""
    name = func._schema.name.split("::")[1]
    packet = getattr(_aten, name.removesuffix("_"), None)
    wanted = [argument.name for argument in func._schema.arguments]
    for overload in packet.overloads() if packet is not None and name.endswith("_") else ():
        found = getattr(packet, overload)
        if [argument.name for argument in found._schema.arguments] == wanted:
            return found
    raise InputError(f"the model uses {func}, which changes tensors in place; leave it out")


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class Recorded(NamedTuple):
    """The operations of a function of named tensors.

    Attributes:
        graph: Its placeholders are all tensors that the function was given.
        constants: Tensors that it found elsewhere.
        outputs: Names of its results.
    """

    graph: fx.Graph
    constants: dict[str, Tensor]
    outputs: tuple[str, ...]


def record(
    function: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]], given: Mapping[str, Tensor]
) -> Recorded:
    """The operations of a function of named tensors."""
    # The same tensor given twice would be one.
    given = {name: value.detach().clone() for name, value in given.items()}
    recorder = Recorder(given)
    with recorder, torch.enable_grad():
        found = {name: value.detach() for name, value in function(given).items()}
    return Recorded(recorder.finish(list(found.values())), recorder.constants, tuple(found))
