"""A function of tensors as a graph of operations, which a compiler makes kernels of."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

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
        self._run: Callable[..., Any] | None = None
        self._form: pytree.TreeSpec | None = None

    def __call__(self, *trees: Tree) -> Tree:
        """The function's result."""
        tensors, form = pytree.tree_flatten(trees)
        if self._run is None:
            self._run = self._trace(tensors, form)
        assert self._form is not None
        return pytree.tree_unflatten(list(self._run(*tensors)), self._form)

    def _trace(self, tensors: list[Tensor], form: pytree.TreeSpec) -> Callable[..., Any]:
        def flat(*given: Tensor) -> list[Tensor]:
            with torch.enable_grad():
                result = self._function(*pytree.tree_unflatten(list(given), form))
            results, self._form = pytree.tree_flatten(result)
            # The next function is made for the strides of an ordinary tensor.
            return [value.detach().contiguous() for value in results]

        # Tracing tells arguments apart by identity: the same tensor given twice would be one.
        inputs = [tensor.detach() for tensor in tensors]
        graph = make_fx(flat)(*inputs)
        graph.graph.eliminate_dead_code()
        graph.recompile()
        if not self._compiled:
            return graph
        began = time.monotonic()
        log.info("compiling %s: once, up to two minutes", self._name)
        with warnings.catch_warnings():
            # The compiler's own business.
            warnings.simplefilter("ignore")
            made: Any = torch._inductor.compile(graph, inputs)  # type: ignore[no-untyped-call]
            made(*inputs)
        log.info("compiled in %.0f s", time.monotonic() - began)
        return made  # type: ignore[no-any-return]
