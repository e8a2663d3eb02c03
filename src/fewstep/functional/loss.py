"""Parts of a loss: the function it is made of, its module, and what its code reaches."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import FunctionType
from typing import Any

from torch import nn


def unwrapped(loss: object) -> object:
    """Return the function or module that a loss with some of its arguments given is made of."""
    while isinstance(loss, partial):
        loss = loss.func
    return loss


def loss_module(loss: Callable[..., Any] | None, model: nn.Module) -> nn.Module | None:
    """Return the module that a loss is, or is a method of, where it is no part of the model."""
    function = unwrapped(loss)
    owner = getattr(function, "__self__", function)
    if not isinstance(owner, nn.Module) or any(part is owner for part in model.modules()):
        return None
    return owner


def call_loss(loss: Callable[..., Any], prediction: Any, target: Any) -> Any:
    """Call a loss. By this call an error is known to come from it, and not from the model."""
    return loss(prediction, target)


def reached_by(loss: object) -> Iterator[Any]:
    """Yield what the code of a loss holds: its closure, defaults, arguments and global names."""
    if isinstance(loss, partial):
        yield from (*loss.args, *loss.keywords.values())
        yield from reached_by(loss.func)
    function = getattr(loss, "__func__", loss)
    if isinstance(function, FunctionType):
        for cell in function.__closure__ or ():
            with suppress(ValueError):
                yield cell.cell_contents
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        for name in function.__code__.co_names:
            yield function.__globals__.get(name)
