"""The inner gradient as one compiled function, with its derivative.

The gradient is taken inside the compiled function, which is itself differentiated once: a second
derivative across the border of a compiled function would be wrong or refused.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fewstep.errors import first_line
from fewstep.functional import Params, pure_call, traceable_call
from fewstep.randomness import undisturbed

Loss = Callable[[Any, Tensor], Tensor]

log = logging.getLogger("fewstep")


class Compiler:
    """Compiles once for each shape of support sets and each mode of the model's layers.

    What the model's code does in Python is fixed when it is compiled.
    """

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._compiled: dict[object, Callable[..., Any] | None] = {}

    def gradient(self, model: nn.Module, params: Params, x: Tensor, y: Tensor) -> Params | None:
        """The gradient of one task's support loss, which can be differentiated once more.

        Args:
            model: What is trained.
            params: Those that adapt.
            x: ``[examples, ...]``, the support set.
            y: ``[examples, ...]``, its targets.

        Returns:
            By the names of ``params``; or None where this cannot be compiled.
        """
        fixed = {
            name: value
            for name, value in (*model.named_parameters(), *model.named_buffers())
            if name not in params
        }
        key = (_shapes(x, y, *params.values(), *fixed.values()), _layers(model))
        arguments = (x, y, *params.values(), *fixed.values())
        if key not in self._compiled:
            self._compiled[key] = self._compile(model, list(params), list(fixed), arguments)
        compiled = self._compiled[key]
        if compiled is None:
            return None
        with torch.enable_grad():
            return dict(zip(params, compiled(*arguments), strict=True))

    def _compile(
        self, model: nn.Module, names: list[str], fixed: list[str], arguments: tuple[Tensor, ...]
    ) -> Callable[..., Any] | None:
        """The compiled function, or None with a warning."""
        if _draws(lambda: self._loss(pure_call(model, {}, arguments[0]), arguments[1])):
            log.warning("random layers are not compiled: they would draw other numbers")
            return None
        compiled = _compiled(_gradient_function(model, self._loss, names, fixed))
        log.info("compiling for support sets of %s: once, up to a minute", list(arguments[0].shape))
        began = time.monotonic()
        try:
            # What the compiler warns of is its own business.
            with torch.enable_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = compiled(*arguments)
                torch.autograd.grad(sum(g.sum() for g in found), arguments[2 : 2 + len(names)])
        except Exception as error:
            cause = getattr(error, "inner_exception", error)
            log.warning("cannot be compiled (%s); computed without", first_line(cause))
            return None
        log.info("compiled in %.0f s", time.monotonic() - began)
        return compiled


def _gradient_function(
    model: nn.Module, loss: Loss, names: list[str], fixed: list[str]
) -> Callable[..., tuple[Tensor, ...]]:
    buffers = [name for name, _ in model.named_buffers()]

    def gradient(x: Tensor, y: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        everything = dict(zip([*names, *fixed], values, strict=True))
        everything |= {name: everything[name].clone() for name in buffers}
        value = loss(traceable_call(model, everything, x), y)
        adapting = values[: len(names)]
        return torch.autograd.grad(value, adapting, create_graph=True, materialize_grads=True)

    return gradient


def _draws(function: Callable[[], object]) -> bool:
    """Whether a function draws random numbers."""
    with undisturbed(torch.device("cpu")), torch.no_grad():
        before = torch.get_rng_state()
        function()
        return not torch.equal(torch.get_rng_state(), before)


def _compiled(function: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Any]:
    torch.compiler.allow_in_graph(function)  # type: ignore[no-untyped-call]

    def call(*arguments: Tensor) -> tuple[Tensor, ...]:
        return function(*arguments)

    # The compiler keeps few versions of the same code, and this code serves every function.
    call.__code__ = call.__code__.replace(co_name=f"gradient_{id(function)}")
    return torch.compile(call, fullgraph=True, dynamic=False)


def _shapes(*values: Tensor) -> tuple[Any, ...]:
    return tuple((v.shape, v.dtype, v.device, v.requires_grad) for v in values)


def _layers(model: nn.Module) -> tuple[str, tuple[bool, ...]]:
    """What the model consists of, and the modes of the layers that may heed theirs."""
    modes = (part.training for part in model.modules() if type(part) not in _WITHOUT_MODES)
    return repr(model), tuple(modes)


_WITHOUT_MODES = (
    *(nn.Sequential, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Flatten, nn.LayerNorm, nn.GroupNorm),
    *(nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Embedding),
)
"""Judging puts all layers into eval mode; for these alone nothing has to be compiled again."""
