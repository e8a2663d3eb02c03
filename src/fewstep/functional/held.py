"""What a model's code may read beside its tensors and settings, to see whether that has changed."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy
from torch import Tensor, nn

from fewstep.functional.loss import reached_by
from fewstep.functional.structure import parts_of

Held = list[object] | None
"""Such values, or None where nobody asks for them."""
_KNOWN = ("torch.nn.", "fewstep.")
"""Begin the modules of classes whose code reads its own tensors and settings alone."""
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_CODE = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type, nn.Module, str)
"""Types of values that are not looked into."""
_DEEPEST, _MOST, _LARGEST = 4, 10_000, 4096  # levels, values in all, bytes of an array


def readers_in(model: nn.Module) -> list[nn.Module]:
    """The parts of a model of classes whose code may read more than its tensors and settings."""
    return [part for part in parts_of(model) if not type(part).__module__.startswith(_KNOWN)]


def held_by(readers: list[nn.Module], loss: Callable[..., Any]) -> list[object]:
    """Values that the code of parts of a model, and of a loss, may read.

    They are what the parts have beside parts, parameters and buffers, what the code of their
    ``forward`` and of the loss reaches outside, and what is in all of these: numbers, texts, and
    objects, which are the same or others. An object of a class that keeps its values elsewhere than
    in attributes counts as one value.
    """
    found: list[object] = []
    for part in readers:
        for name, value in part.__dict__.items():
            if name not in _OF_EVERY_MODULE:
                _look(value, found, _DEEPEST)
        for value in reached_by(type(part).forward):
            _look(value, found, _DEEPEST)
    if not (isinstance(loss, nn.Module) or getattr(loss, "__module__", "").startswith(_KNOWN)):
        for value in (*reached_by(loss), *getattr(loss, "__dict__", {}).values()):
            _look(value, found, _DEEPEST)
    return found


def token(value: object) -> object:
    """A key that two values share where they are equal numbers or texts, or the same object.

    Keep the values, so that no other object takes the place of one.
    """
    if isinstance(value, bool | int | float | str | bytes):
        return type(value), value
    return id(value)


def _look(value: Any, found: list[object], deeper: int) -> None:
    if len(found) > _MOST:
        return
    found.append(value)
    if isinstance(value, Tensor):
        if not value.is_inference():
            found.append(value._version)
    elif isinstance(value, numpy.ndarray):
        if value.nbytes <= _LARGEST:
            found.append(value.tobytes())
    elif deeper and not isinstance(value, _CODE):
        for inner in _inside(value):
            _look(inner, found, deeper - 1)


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (*value.keys(), *value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    else:
        with suppress(TypeError):
            yield from list(vars(value).values())
        for name in getattr(type(value), "__slots__", ()):
            yield getattr(value, name, None)
