"""Values that a model's code may read beside its tensors, to see whether one has changed."""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from types import MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy
from torch import Tensor, nn

from fewstep.functional.loss import unwrapped
from fewstep.functional.read_by import functions_of, in_class, is_library, read_by
from fewstep.functional.structure import (
    global_hooks,
    has_own_hooks,
    is_setting,
    parts_of,
    structure,
)

Held = list[object] | None
"""Such values, or None where nobody asks for them."""
TOO_MUCH = "more than can be looked through each time"
"""The last of such values where they are not all."""
_KNOWN = ("torch.nn.", "fewstep.")
"""Begin the modules of classes whose code reads its own tensors and settings alone."""
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_MOST, _LARGEST = 10_000, 2**20  # values in all, bytes of an array


def readers_in(model: nn.Module) -> list[nn.Module]:
    """The parts of a model whose code, or that of their hooks, may read more than settings."""
    return [part for part in parts_of(model) if not _is_known(part) or _holds_more(part)]


def held_by(readers: list[nn.Module], loss: Callable[..., Any]) -> list[object]:
    """Values that the code of parts of a model, and of a loss, may read.

    They are what the parts have beside parts, parameters and buffers; what the code of their
    methods and hooks, of the loss, and of all functions in these reaches outside; and what is in
    all of that: numbers, texts, and objects, which are the same or others. Code that is installed
    counts as one that reads nothing that changes, and so does an object of a class of the standard
    library. The last value is `TOO_MUCH` where there are too many or one is too large.
    """
    look = _Look()
    with suppress(_TooMuchError):
        look.at_parts(readers)
        look.at_all(global_hooks())
        look.at_loss(loss)
        return look.found
    return [*look.found, TOO_MUCH]


def token(value: object) -> object:
    """A key that two values share where they are equal numbers or texts, or the same object.

    Keep the values, so that no other object takes the place of one.
    """
    if isinstance(value, bool | int | float | str | bytes):
        return type(value), value
    return id(value)


class _TooMuchError(Exception):
    pass


class _Look:
    """Looks through values, each once.

    Attributes:
        found: What there is in them.
    """

    def __init__(self) -> None:
        self.found: list[object] = []
        self._seen: set[int] = set()

    def at_parts(self, parts: Iterable[nn.Module]) -> None:
        """Look at what parts hold, and at what their code reads."""
        parts = list(parts)
        for part in parts:
            self._seen.add(id(part))
            own = part.__dict__
            self.at_all(value for name, value in own.items() if name not in _OF_EVERY_MODULE)
            for hooks in (own["_forward_hooks"], own["_forward_pre_hooks"]):
                self.at_all(hooks.values())
        # Once a class, since all that its objects have is read.
        for kind in dict.fromkeys(type(part) for part in parts if not _is_known(part)):
            self.at_all(in_class(kind))
            self.at_all(read_by(kind.forward, kind))

    def at_loss(self, loss: Callable[..., Any]) -> None:
        """Look at what a loss holds, and at what its code reads."""
        function = unwrapped(loss)
        owner = getattr(function, "__self__", function)
        if isinstance(owner, nn.Module):
            self.at_parts(readers_in(owner))
        if isinstance(loss, partial):
            self._at(loss)
        elif not is_library(loss):
            self._at(loss)
            self.at_all(read_by(loss))

    def at_all(self, values: Iterable[object]) -> None:
        """Look at some values."""
        for value in values:
            self._at(value)

    def _at(self, value: Any) -> None:
        if len(self.found) > _MOST:
            raise _TooMuchError
        self.found.append(value)
        if isinstance(value, bool | int | float | str | bytes | None) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, Tensor):
            # Those that are learned are given.
            if not value.is_inference() and not isinstance(value, nn.Parameter):
                self.found.append(value._version)
        elif isinstance(value, numpy.ndarray):
            if value.nbytes > _LARGEST:
                raise _TooMuchError
            self.found.append(hash(value.tobytes()))
        elif isinstance(value, nn.Module):
            self.found.extend(structure(value))
            self.at_parts(part for part in readers_in(value) if id(part) not in self._seen)
        else:
            self._inside(value)

    def _inside(self, value: Any) -> None:
        if isinstance(value, dict):
            self.at_all((*value.keys(), *value.values()))
        elif isinstance(value, list | tuple | set | frozenset | deque):
            self.at_all(tuple(value))
        elif isinstance(value, partial):
            self.at_all((value.func, *value.args, *value.keywords.values()))
        elif isinstance(value, MethodType):
            self.at_all(read_by(value.__func__, value.__self__))
        elif functions := functions_of(value):
            for function in functions:
                if not is_library(function):
                    self.at_all(read_by(function))
        elif isinstance(value, type):
            self.at_all(in_class(value))
        elif isinstance(value, ModuleType):
            pass
        elif isinstance(value, SimpleNamespace) or not is_library(type(value)):
            self.at_all(list(getattr(value, "__dict__", {}).values()))
            for name in getattr(type(value), "__slots__", ()):
                self._at(getattr(value, name, None))
            self._at(type(value))


def _is_known(part: nn.Module) -> bool:
    return type(part).__module__.startswith(_KNOWN)


def _holds_more(part: nn.Module) -> bool:
    """Whether a part of a known class has hooks, or holds what its settings do not tell."""
    return has_own_hooks(part) or any(
        not is_setting(value) and value is not None
        for name, value in part.__dict__.items()
        if name not in _OF_EVERY_MODULE
    )
