"""Structure of a module, to see at once whether it has changed."""

from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Generic, TypeVar

from torch import nn
from torch.nn.modules import module as of_all

Value = TypeVar("Value")


def structure(module: nn.Module) -> list[object]:
    """Return its parts, their settings, hooks, buffers, parameters, and which are learned."""
    found: list[object] = []
    for part in parts_of(module):
        own = part.__dict__
        found += (part, *own["_buffers"].values())
        found += [value for value in own.values() if type(value) in _SETTINGS]
        found += (h for name in _HOOKS if own[name] for h in own[name].values())
        for parameter in own["_parameters"].values():
            found += (parameter, parameter is not None and parameter.requires_grad)
    return found


def parts_of(module: nn.Module) -> list[nn.Module]:
    """Return all parts of a module, each once; faster than its own method."""
    found = {id(module): module}
    waiting = [module]
    while waiting:
        inner = [part for part in waiting.pop().__dict__["_modules"].values() if part is not None]
        new = [part for part in inner if id(part) not in found]
        found |= {id(part): part for part in new}
        waiting += new
    return list(found.values())


_SETTINGS = {bool, int, float, str, tuple, FunctionType, BuiltinFunctionType, MethodType}
"""Types of attributes that decide what a part computes, its mode among them."""
_NUMBERS = (bool, int, float, str)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_setting(value: object) -> bool:
    """Return whether a value is all that it tells: a number, a text, or a tuple of these."""
    return isinstance(value, _NUMBERS) or (isinstance(value, tuple) and _can_be_key(value))


def has_own_hooks(part: nn.Module) -> bool:
    """Return whether hooks of its own may change what a part computes."""
    return any(part.__dict__[name] for name in _HOOKS)


def global_hooks() -> list[object]:
    """Return the hooks of all modules."""
    of_backward = (of_all._global_backward_hooks, of_all._global_backward_pre_hooks)
    of_forward = (of_all._global_forward_hooks, of_all._global_forward_pre_hooks)
    return [hook for hooks in (*of_forward, *of_backward) for hook in hooks.values()]


def has_hooks(part: nn.Module) -> bool:
    """Return whether hooks, its own or those of all modules, may change what a part computes."""
    return has_own_hooks(part) or bool(global_hooks())


def settings(part: nn.Module) -> tuple[object, ...]:
    """Return what decides, beside its type and mode, what a part computes."""
    own = part.__dict__
    named = (v for n, v in own.items() if n != "training" and _can_be_key(v))
    hooks = (hook for name in _HOOKS for hook in own[name].values())
    return *named, *hooks


def _can_be_key(value: object) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(inner, _NUMBERS) for inner in value)
    return type(value) in _SETTINGS


def same(one: list[object], other: list[object]) -> bool:
    """Whether two structures are of the same objects, and of equal settings."""
    return len(one) == len(other) and all(
        a is b or (isinstance(a, _NUMBERS) and type(a) is type(b) and a == b)
        for a, b in zip(one, other, strict=True)
    )


class Latest(Generic[Value]):
    """The latest result of a function, as long as all that it depends on are the same objects."""

    def __init__(self) -> None:
        self._made_of: list[object] = []
        self._value: Value | None = None

    def of(
        self,
        made_of: list[object],
        make: Callable[[], Value],
        lasting: Callable[[Value], bool] = lambda _: True,
    ) -> Value:
        """Return what ``make`` made of the same objects and is ``lasting``, or makes now."""
        if same(made_of, self._made_of) and self._value is not None:
            return self._value
        value = make()
        self._made_of, self._value = made_of, value if lasting(value) else None
        return value

    def __reduce__(self) -> tuple[type["Latest[Value]"], tuple[()]]:
        # A copy, in another process perhaps, is of other objects.
        return Latest, ()
