"""Functions that `torch.compile` makes, each once; where one cannot be made, a warning instead."""

import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep.errors import first_line, let_out_of_memory_through
from fewstep.runtime.modes import one_thread

Function = Callable[..., tuple[Tensor, ...]]  # takes tensors, one by one

log = logging.getLogger("fewstep")

MOST_KINDS = 8
"""How often code is compiled for tensors of one kind, because something that it reads changed."""


def compiler_options() -> dict[str, Any]:
    """Settings of PyTorch's compiler for all that is compiled here.

    Two of its ways are silently wrong on a GPU for some shapes: rows that are padded, of which some
    kernels read what no other has written (pytorch/pytorch#194281; pictures of 84 x 84 had a wrong
    gradient), and sums over rows and over columns by one kernel (#177419, #195845).
    """
    # Takes seconds to import.
    from torch._inductor import config

    has_it = hasattr(config.triton, "mix_order_reduction")
    off: dict[str, Any] = {"triton.mix_order_reduction": False} if has_it else {}
    return {"comprehensive_padding": False, **off}


class CompiledFunctions:
    """Keeps what was compiled, by key. After a first failure it has given up: no more is tried."""

    def __init__(self) -> None:
        self.given_up = False
        self._functions: dict[Hashable, Function] = {}
        self._kinds: Counter[Hashable] = Counter()
        self._told: set[str] = set()

    def __contains__(self, key: tuple[Hashable, Hashable]) -> bool:
        return key in self._functions

    def __len__(self) -> int:
        return len(self._functions)

    def get(
        self,
        key: tuple[Hashable, Hashable],
        function: Function,
        arguments: tuple[Tensor, ...],
        about: str,
        single_thread: bool = False,
    ) -> Function | None:
        """Return the compiled function, or None where it cannot be compiled.

        It is compiled for tensors like the arguments, and so is its derivative with respect to
        those that require a gradient. What its code does in Python is fixed then. The key has all
        that decides what is computed: in the first place shapes and settings, in the second what
        the code may read beside its arguments. ``about`` says in words what it is for.
        """
        if key in self._functions or self.given_up:
            return self._functions.get(key)
        if self._kinds[key[0]] == MOST_KINDS:
            self.give_up(
                f"what the code of the model or of the loss reads has changed {MOST_KINDS} times, "
                "and was compiled each time; computed without: keep a number that changes in a "
                "buffer"
            )
            return None
        self._kinds[key[0]] += 1
        compiled = _compiled(function, single_thread)
        new = about not in self._told
        self._told.add(about)
        if new:
            log.info("compiling for %s: once, up to a minute", about)
        began = time.monotonic()
        try:
            # What the compiler warns of is its own business.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _run_both_ways(compiled, arguments)
        except Exception as error:
            let_out_of_memory_through(error)
            cause = getattr(error, "inner_exception", error)
            self.give_up(f"cannot be compiled ({first_line(cause)}); computed without")
            return None
        if new:
            log.info("compiled in %.0f s", time.monotonic() - began)
        self._functions[key] = compiled
        return compiled

    def give_up(self, reason: str) -> None:
        """Compile nothing from now on, with a warning."""
        log.warning(reason)
        self.given_up = True


def count_operations(function: Callable[[], object]) -> int:
    """Count the operations that a function runs, views left out."""
    counting = _Counting()  # type: ignore[no-untyped-call]
    with torch.no_grad(), counting:
        function()
    return counting.number


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    number: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += not func.is_view
        return func(*args, **(kwargs or {}))


def signature(*values: Tensor) -> Hashable:
    """Return all that a compiled function depends on, of the tensors it is given."""
    return tuple((v.shape, v.dtype, v.device, v.requires_grad) for v in values)


def _run_both_ways(function: Function, arguments: tuple[Tensor, ...]) -> None:
    # Cut off from what comes before, whose graph would be used up.
    arguments = tuple(value.detach().requires_grad_(value.requires_grad) for value in arguments)
    results = function(*arguments)
    inputs = [value for value in arguments if value.requires_grad]
    outputs = [value for value in results if value.requires_grad]
    if inputs:
        cotangents = [torch.ones_like(value) for value in outputs]
        torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True)


def _compiled(function: Function, single_thread: bool) -> Function:
    # Not traced by Dynamo, which does not follow torch.autograd.grad, but by what comes after it.
    torch.compiler.allow_in_graph(function)  # type: ignore[no-untyped-call]

    def call(*arguments: Tensor) -> tuple[Tensor, ...]:
        return function(*arguments)

    # The compiler keeps few versions of the same code, and this code serves every function.
    call.__code__ = call.__code__.replace(co_name=f"function_{id(function)}")
    options = compiler_options() | ({"cpp.threads": 1} if single_thread else {})
    compiled: Any = torch.compile(call, fullgraph=True, dynamic=False, options=options)
    return one_thread()(compiled) if single_thread else compiled  # type: ignore[no-any-return]
