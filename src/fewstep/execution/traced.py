"""A function of tensors as a graph of operations, which a compiler makes kernels of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from fewstep.execution.kernels import Run, made

log = logging.getLogger("fewstep")

Tree = Any
"""Tensors in dicts, lists and tuples."""


class Traced:
    """A function, traced when it is first called; from then on its operations alone are run.

    Args:
        function: Of trees of tensors, to a tree of tensors. What its code does in Python is fixed
            by the first call, and so are all shapes.
        name: For messages.
        compiled: Whether to compile the operations.
    """

    def __init__(self, function: Callable[..., Tree], name: str, compiled: bool) -> None:
        self._function, self._name, self._compiled = function, name, compiled
        self._run: Run | None = None
        self._form: pytree.TreeSpec | None = None

    def __call__(self, *trees: Tree) -> Tree:
        """The function's result."""
        tensors = pytree.tree_leaves(trees)
        if self._run is None:
            graph, (self._form,) = _trace(lambda *trees: (self._function(*trees),), trees)
            self._run = made(graph, tensors, self._name, self._compiled)
        assert self._form is not None
        return pytree.tree_unflatten(list(self._run(*tensors)), self._form)


class Linearised:
    """A function whose transposed derivative is taken later, where it was evaluated.

    Args:
        joint: Of the function's arguments and of a cotangent of its result; returns the result, and
            the product of the cotangent with the derivative. Both are trees of tensors. Without a
            cotangent the product does not matter.
        name: For messages.
        compiled: Whether to compile.
        kept: Whether to keep, from the one to the other, what is expensive to compute again; else
            only the arguments are.
    """

    def __init__(self, joint: Callable[..., Tree], name: str, compiled: bool, kept: bool) -> None:
        self._joint, self._name, self._compiled, self._kept = joint, name, compiled, kept
        self._forward: Run | None = None
        self._back: Run | None = None
        self._forms: list[pytree.TreeSpec] = []

    def forward(self, arguments: tuple[Tree, ...]) -> tuple[Tree, list[Tensor]]:
        """The result, and what `back` needs."""
        tensors = pytree.tree_leaves(arguments)
        if self._forward is None:
            with torch.enable_grad():
                like = pytree.tree_map(torch.empty_like, self._joint(*arguments, None)[0])
            graph, self._forms = _trace(self._joint, (*arguments, like))
            number = self._forms[0].num_leaves
            forward, self._back_graph, self._kept = _split(graph, len(tensors), number, self._kept)
            self._forward = made(forward, tensors, self._name, self._compiled)
        found = list(self._forward(*tensors))
        number = self._forms[0].num_leaves
        kept = found[number:] if self._kept else tensors
        return pytree.tree_unflatten(found[:number], self._forms[0]), kept

    def back(self, kept: list[Tensor], cotangent: Tree) -> Tree:
        """The product of a cotangent of the result with the derivative."""
        tensors = [*kept, *pytree.tree_leaves(cotangent)]
        if self._back is None:
            name = f"the derivative of {self._name}"
            self._back = made(self._back_graph, tensors, name, self._compiled)
        return pytree.tree_unflatten(list(self._back(*tensors)), self._forms[1])


def _trace(
    function: Callable[..., tuple[Tree, ...]], trees: Tree
) -> tuple[fx.GraphModule, list[pytree.TreeSpec]]:
    """A function's operations, and the forms of the trees that it returns."""
    tensors, form = pytree.tree_flatten(trees)
    forms: list[pytree.TreeSpec] = []

    def flat(*given: Tensor) -> list[Tensor]:
        with torch.enable_grad():
            result = function(*pytree.tree_unflatten(list(given), form))
        forms.extend(map(pytree.tree_structure, result))
        # The next function is made for the strides of an ordinary tensor.
        return [value.detach().contiguous() for value in pytree.tree_leaves(result)]

    # Tracing tells arguments apart by identity: the same tensor given twice would be one.
    graph = make_fx(flat)(*(tensor.detach() for tensor in tensors))
    for node in graph.graph.find_nodes(op="call_function", target=torch.ops.aten.detach.default):
        node.replace_all_uses_with(node.args[0])
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph, forms


def _split(
    graph: fx.GraphModule, arguments: int, results: int, kept: bool
) -> tuple[fx.GraphModule, fx.GraphModule, bool]:
    """A function's operations, those of its derivative, and whether more is kept than arguments.

    Args:
        graph: Of a joint function.
        arguments: How many tensors the function's arguments are; those of the cotangent follow.
        results: How many its result is.
        kept: As in `Linearised`. The first function then returns more, which the second is given in
            the place of the arguments.
    """
    inputs = graph.graph.find_nodes(op="placeholder")
    outputs = _outputs(graph)
    if kept:
        try:
            return *_cut(_part(graph, inputs, outputs), arguments, results), True
        except AssertionError:
            log.debug("nothing is kept: an operation changes a tensor in place")
    back = _part(graph, inputs, outputs[results:])
    return _part(graph, inputs[:arguments], outputs[:results]), back, False


def _cut(
    graph: fx.GraphModule, arguments: int, results: int
) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Divide a joint function's operations where least has to be kept."""
    inputs = graph.graph.find_nodes(op="placeholder")
    for number, node in enumerate(inputs):
        # The partitioner knows the cotangents by this name.
        node.target = node.name = f"{'primals' if number < arguments else 'tangents'}_{number}"
    cotangents = [node.name for node in inputs[arguments:]]
    graph.recompile()
    forward, back = min_cut_rematerialization_partition(graph, None, num_fwd_outputs=results)
    kept = [node.name for node in _outputs(forward)[results:]]
    placeholders = {node.name: node for node in back.graph.find_nodes(op="placeholder")}
    return forward, _part(back, [placeholders.get(name) for name in (*kept, *cotangents)], None)


def _outputs(graph: fx.GraphModule) -> Any:
    return graph.graph.output_node().args[0]


def _part(graph: fx.GraphModule, inputs: Sequence[fx.Node | None], outputs: Any) -> fx.GraphModule:
    """The part of a graph that some outputs need, all unless given, as a function of inputs."""
    part, copies = fx.Graph(), {}
    for number, node in enumerate(inputs):
        copy = part.placeholder(node.name if node is not None else f"unused_{number}")
        if node is not None:
            copies[node] = copy
            copy.meta = dict(node.meta)
    for node in graph.graph.nodes:
        known = all(before in copies for before in node.all_input_nodes)
        if known and node.op not in ("placeholder", "output"):
            copies[node] = part.node_copy(node, copies.__getitem__)
    wanted = _outputs(graph) if outputs is None else outputs
    part.output([None if node is None else copies[node] for node in wanted])
    part.eliminate_dead_code()
    return fx.GraphModule(graph, part)
