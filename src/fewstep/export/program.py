"""A function of named tensors that is to become a file, and its operations."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from fewstep.errors import InputError, first_line
from fewstep.export.recorder import Recorded, record

COUNTS = 7, 11
"""Numbers of examples that a function is traced with. What differs between the two traces depends
on the number of examples, and what is the same does not, even where it is a seven."""

_aten = torch.ops.aten
_SAME = {_aten.detach.default, _aten.alias.default, _aten.lift_fresh_copy.default}
Dims = tuple[int | None, ...]
"""Sizes of a tensor; None where it depends on the number of examples."""


@dataclass(frozen=True)
class Program:
    """A function of tensors.

    Attributes:
        function: Takes the tensors of ``inputs`` and ``constants`` by name, and returns tensors by
            name.
        inputs: An example of each tensor that is given from outside.
        by_example: Names of those inputs that have the examples in front.
        constants: Tensors that the file is to hold.
    """

    function: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
    inputs: Mapping[str, Tensor]
    by_example: frozenset[str] = frozenset()
    constants: Mapping[str, Tensor] = field(default_factory=dict)

    def with_examples(self, number: int) -> dict[str, Tensor]:
        """All tensors, those by example with so many of them."""

        def resized(value: Tensor) -> Tensor:
            return value[torch.arange(number) % len(value)]

        given = {n: resized(v) if n in self.by_example else v for n, v in self.inputs.items()}
        return {**given, **self.constants}


@dataclass(frozen=True)
class Operations:
    """The operations of a program, for any number of examples.

    Attributes:
        graph: Its placeholders are the inputs and constants that are used. The ``meta`` of a node
            holds its ``dtype`` and its ``dims``.
        inputs: Names of the inputs, in order.
        constants: Tensors by name, which follow.
        outputs: Names of the results, in order.
    """

    graph: fx.GraphModule
    inputs: tuple[str, ...]
    constants: dict[str, Tensor]
    outputs: tuple[str, ...]


def operations_of(program: Program) -> Operations:
    """Trace a program.

    Raises:
        InputError: What its code does depends on values, or otherwise than linearly on the number
            of examples.
    """
    (graph, held, outputs), (other, *_) = (_trace(program, number) for number in COUNTS)
    _join(graph, other, program)
    names = list(program.with_examples(1))
    used = []
    for name, node in zip(names, graph.find_nodes(op="placeholder"), strict=True):
        if node.users:
            used.append(name)
        else:
            graph.erase_node(node)
    inputs = tuple(name for name in used if name in program.inputs)
    constants = {name: program.constants[name] for name in used if name in program.constants}
    found = Operations(fx.GraphModule(held, graph), inputs, constants, outputs)
    _check(found, program)
    return found


OTHER = 5
"""Examples that an export is checked with; none of `COUNTS`."""
MOST = 1e-3
"""Difference, in units of the largest number, that rounding may make where ReLU decides by it."""


def _check(operations: Operations, program: Program) -> None:
    """See that the operations are the program's for another number of examples."""
    given = program.with_examples(OTHER)
    expected = program.function(given)
    try:
        found = operations.graph(*(given[n] for n in (*operations.inputs, *operations.constants)))
        pairs = zip(found, expected.values(), strict=True)
        right = all(apart(one.detach(), other.detach()) <= MOST for one, other in pairs)
    except RuntimeError:
        right = False
    if not right:
        raise InputError(
            "what the model computes depends otherwise than linearly on the number of examples, "
            "which a file for any number of them cannot say"
        )


def apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in units of the largest number.

    Raises:
        RuntimeError: They are of other shapes.
    """
    if found.shape != expected.shape:
        raise RuntimeError(f"{list(found.shape)} and {list(expected.shape)}")
    found, expected = found.double(), expected.double()
    known = expected.isfinite()
    # Where all is rounding, it is no unit.
    unit = max(float(expected[known].abs().max()), 1e-2) if known.any() else 1.0
    differences = (found - expected)[known].abs()
    return float(differences.max()) / unit if len(differences) else 0.0


def _trace(program: Program, number: int) -> Recorded:
    try:
        found = record(program.function, program.with_examples(number))
    except InputError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"the model cannot be written down as operations ({first_line(error)})"
        ) from error
    for node in list(found.graph.nodes):
        if node.target in _SAME:
            node.replace_all_uses_with(node.args[0])
    found.graph.eliminate_dead_code()
    return found


def _join(graph: fx.Graph, other: fx.Graph, program: Program) -> None:
    """Make a graph one for any number of examples, by another of another number."""
    nodes, others = list(graph.nodes), list(other.nodes)
    if [n.target for n in nodes if n.op == "call_function"] != [
        n.target for n in others if n.op == "call_function"
    ]:
        raise InputError(
            "what the model does depends on the number of examples; export one that does not ask "
            "for it"
        )
    sizes = _Sizes(graph, program)
    for node, its in zip(nodes, others, strict=True):
        _note(node, its)
        if node.op == "call_function":
            node.args = sizes.joined(node.args, its.args, node)
            node.kwargs = sizes.joined(node.kwargs, its.kwargs, node)


def _note(node: fx.Node, its: fx.Node) -> None:
    """Let a node tell its sizes for any number of examples."""
    if "shape" in node.meta:
        pairs = zip(node.meta["shape"], its.meta["shape"], strict=True)
        node.meta["dims"] = tuple(a if a == b else None for a, b in pairs)


class _Sizes:
    """Numbers of a graph that depend on the number of examples, as nodes in front of it."""

    def __init__(self, graph: fx.Graph, program: Program) -> None:
        self._graph = graph
        self._found: dict[Any, fx.Node] = {}
        inputs = self._graph.find_nodes(op="placeholder")
        names = zip(program.with_examples(1), inputs, strict=True)
        self._by_example = [node for name, node in names if name in program.by_example]
        self._first = next(node for node in self._graph.nodes if node.op != "placeholder")

    def joined(self, one: Any, two: Any, node: fx.Node) -> Any:
        """Arguments of a node, those that differ as functions of the number of examples."""
        if isinstance(one, fx.Node) or one is None or isinstance(one, str | bool | torch.dtype):
            return one
        if isinstance(one, int | float) and one != two:
            return self._of_number(one, two, node)
        if isinstance(one, dict):
            return {key: self.joined(one[key], two[key], node) for key in one}
        if isinstance(one, list | tuple):
            pairs = zip(one, two, strict=True)
            return type(one)(self.joined(a, b, node) for a, b in pairs)
        return one

    def _of_number(self, one: float, two: float, node: fx.Node) -> fx.Node:
        few, many = COUNTS
        if isinstance(one, int):
            slope, rest = divmod(two - one, many - few)
            if rest == 0:
                many_times = self._node(operator.mul, self._number, int(slope))
                start = int(one - slope * few)
                return self._node(operator.add, many_times, start) if start else many_times
        elif math.isclose(one * few, two * many, rel_tol=1e-9):
            return self._node(operator.truediv, one * few, self._number)
        raise InputError(
            f"{node.target} depends otherwise than linearly on the number of examples, which a "
            "file for any number of them cannot say"
        )

    @property
    def _number(self) -> fx.Node:
        return self._node(_aten.sym_size.int, self._by_example[0], 0)

    def _node(self, function: Callable[..., Any], *arguments: Any) -> fx.Node:
        key = (function, *arguments)
        if key not in self._found:
            with self._graph.inserting_before(self._first):
                self._found[key] = self._graph.call_function(function, arguments)
        return self._found[key]
