"""Kernels that PyTorch's compiler makes of a graph of operations, beside the operations once."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._guards import TracingContext, tracing
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from fewstep.errors import first_line
from fewstep.runtime.compile_cache import OPTIONS

log = logging.getLogger("fewstep")

Run = Callable[..., Sequence[Tensor]]

MOST_APART = 0.1
"""How far a result of kernels may be from that of the operations, relative to its length.

Rounding can move a kink of a network, which is far less; kernels that are wrong are off by as much
as there is.
"""
NEGLIGIBLE = 1e-4
"""Length of a result, relative to the longest, that is told from nothing but rounding.

The gradient of a bias before batch norm is zero, so that all of it is rounding.
"""


class NotCompiledError(Exception):
    """A function cannot be compiled, or was compiled to another one; the message says why."""


def made(graph: fx.GraphModule, tensors: list[Tensor], name: str, compiled: bool) -> Run:
    """A graph's operations, compiled or as they are.

    Args:
        graph: Of tensors, to a list of tensors.
        tensors: Like those that it will be given.
        name: For messages.
        compiled: Whether to compile.

    Raises:
        NotCompiledError: It cannot be compiled, or compiles to something else.
    """
    if not compiled:
        return graph
    began = time.monotonic()
    log.info("compiling %s: up to a minute, once for this network and these shapes", name)
    inputs = [tensor.detach() for tensor in tensors]
    try:
        with warnings.catch_warnings():
            # The compiler's own business.
            warnings.simplefilter("ignore")
            kernels = _from_cache_or_compiled(graph, inputs)
            found = kernels(*inputs)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        cause = getattr(error, "inner_exception", error)
        raise NotCompiledError(f"{type(cause).__name__}: {first_line(cause)}") from error
    _check_same(found, graph, inputs, name)
    log.info("compiled in %.0f s", time.monotonic() - began)
    return kernels


def _from_cache_or_compiled(graph: fx.GraphModule, inputs: list[Tensor]) -> Run:
    """The compiled graph, of an earlier process where PyTorch has it on disk.

    Without a context that knows the shapes the compiler would leave its cache out.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
    like: Any = [mode.from_tensor(tensor, static_shapes=True) for tensor in inputs]
    with tracing(TracingContext(mode)):
        return torch._inductor.compile(graph, like, options=OPTIONS)  # type: ignore[no-any-return]


def _check_same(
    found: Sequence[Tensor], graph: fx.GraphModule, inputs: list[Tensor], name: str
) -> None:
    """Compute the same by the graph's operations, where there is memory for it, and compare."""
    try:
        expected = graph(*inputs)
    except torch.OutOfMemoryError:
        return
    pairs = [
        (float((a - b).norm()), float(b.norm()))
        for a, b in zip(found, expected, strict=True)
        if isinstance(b, Tensor) and b.is_floating_point()
    ]
    longest = max((length for _, length in pairs), default=0.0)
    for apart, length in pairs:
        # Also where it is not a number.
        if not apart <= MOST_APART * length + NEGLIGIBLE * longest:
            raise NotCompiledError(f"{name} compiles to kernels that compute something else")
