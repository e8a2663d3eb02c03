"""Kernels that PyTorch's compiler makes of a graph of operations, held beside these once."""

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
from fewstep.runtime.compile_cache import compiler_options

log = logging.getLogger("fewstep")

Run = Callable[..., Sequence[Tensor]]


class NotCompiledError(Exception):
    """The compiler failed; the message is its reason, in a line."""


def made(graph: fx.GraphModule, tensors: list[Tensor], name: str, compiled: bool) -> Run:
    """A graph's operations: compiled where that is wanted and right, else one by one.

    Args:
        graph: Of tensors, to a list of tensors.
        tensors: Like those that it will be given.
        name: For messages.
        compiled: Whether to compile.

    Raises:
        NotCompiledError: The compiler failed.
    """
    if not compiled:
        return graph
    began = time.monotonic()
    log.info("compiling %s: up to a minute, once for this network and these shapes", name)
    inputs = [tensor.detach() for tensor in tensors]
    # The compiler changes what it is given.
    copy = fx.Graph()
    copy.output(copy.graph_copy(graph.graph, {}))
    try:
        with warnings.catch_warnings():
            # The compiler's own business.
            warnings.simplefilter("ignore")
            kernels = _from_cache_or_compiled(graph, inputs)
            found = list(kernels(*inputs))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        cause = getattr(error, "inner_exception", error)
        raise NotCompiledError(f"{type(cause).__name__}: {first_line(cause)}") from error
    log.info("compiled in %.0f s", time.monotonic() - began)
    plain = fx.GraphModule(graph, copy)
    try:
        if is_right(found, list(plain(*inputs)), _tolerance(copy)):
            return kernels
    except torch.OutOfMemoryError:
        # They need more than kernels do.
        return kernels
    log.warning(
        "what PyTorch %s compiles of %s is wrong; it is computed operation by operation: slower",
        torch.__version__,
        name,
    )
    return plain


def is_right(found: list[Any], expected: list[Any], tolerance: float) -> bool:
    """Whether compiled results are those of the operations they were made of, but for rounding.

    Compilers have bugs for some shapes, and a meta-gradient that is wrong by half still learns.

    Args:
        found: The results; what is no floating-point tensor is left out.
        expected: Those of the operations.
        tolerance: Relative, of each tensor's length; of one that is nearly 0 as if it were a
            hundredth of the usual length.
    """
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if _is_floating(b)]
    if not pairs:
        return True
    lengths = torch.stack([b.double().norm() for _, b in pairs])
    off = torch.stack([(a.double() - b.double()).norm() for a, b in pairs])
    finite = lengths[lengths.isfinite()].sort().values
    usual = finite[len(finite) // 2].item() if len(finite) else 1.0
    near = off <= tolerance * lengths.clamp(min=usual * 1e-2)
    # What is not finite in both ways is told where losses are looked at.
    return bool((near | ~lengths.isfinite()).all())


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 0


def _tolerance(graph: fx.Graph) -> float:
    """Far above rounding, whose effect kinks enlarge, and far below a mistake."""
    values = [node.meta.get("val") for node in graph.nodes]
    kinds = {value.dtype for value in values if isinstance(value, Tensor)}
    tf32 = torch.backends.cuda.matmul.fp32_precision == "tf32"
    if tf32 or kinds & {torch.bfloat16, torch.float16}:
        return 0.5
    return 0.05 if torch.float32 in kinds else 1e-6


def _from_cache_or_compiled(graph: fx.GraphModule, inputs: list[Tensor]) -> Run:
    """The compiled graph, of an earlier process where PyTorch has it on disk.

    Without a context that knows the shapes the compiler would leave its cache out.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
    like: Any = [mode.from_tensor(tensor, static_shapes=True) for tensor in inputs]
    with tracing(TracingContext(mode)):
        return torch._inductor.compile(graph, like, compiler_options())  # type: ignore[no-any-return]
