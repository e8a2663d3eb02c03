"""Values that can change inside without another object in their place: read, and put back.

Lists, dicts, sets, arrays, dataclasses, random generators, and tensors in any of them.
"""

import dataclasses
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import is_
from types import MemberDescriptorType, SimpleNamespace
from typing import Any

import numpy
import torch
from torch import Tensor


def can_change(value: Any) -> bool:
    """Whether a value is of a kind that is read and put back."""
    if isinstance(value, Tensor):
        # One with a graph is of an earlier call, and nobody can change it in place.
        return not value.requires_grad and value.layout is torch.strided
    return isinstance(value, tuple(_WAYS)) or _has_fields(value)


def items_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the values in a dict, a list or an object, each with its key, place or name."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple, deque)):
        yield from enumerate(value)
    elif _has_fields(value):
        yield from _fields(value).items()


def content_of(held: Any) -> Any:
    """Return its content now; None where it is empty, as most are."""
    return None if isinstance(held, _PLAIN) and not held else _way(held)[0](held)


def restore(held: Any, content: Any) -> None:
    """Put a content back that `content_of` read."""
    if content is None:
        if held:
            held.clear()
    elif not _same(held, content):
        _way(held)[1](held, content)


def _same(held: Any, content: Any) -> bool:
    """Whether nothing has to be put back."""
    if isinstance(held, Tensor):
        return bool(held._version == content[1])
    if isinstance(held, set):
        return bool(held == content)
    if not isinstance(held, _PLAIN) and not _has_fields(held):
        return False
    now = _fields(held) if _has_fields(held) else held
    return len(now) == len(content) and all(map(is_, _flat(now), _flat(content)))


def _flat(values: Any) -> Iterable[Any]:
    """The values of a list, or the keys and values of a dict."""
    return chain(values, values.values()) if isinstance(values, dict) else values


def _refill(held: Any, content: Any) -> None:
    held.clear()
    (held.update if isinstance(held, (dict, set)) else held.extend)(content)


def _has_fields(value: Any) -> bool:
    is_object = isinstance(value, SimpleNamespace) or dataclasses.is_dataclass(value)
    return is_object and not isinstance(value, type)


def _fields(held: Any) -> dict[str, Any]:
    """The attributes of an object, those in slots included."""
    names = [f.name for f in dataclasses.fields(held)] if dataclasses.is_dataclass(held) else []
    slots = {n: getattr(held, n) for n in names if _is_slot(held, n) and hasattr(held, n)}
    return {**slots, **getattr(held, "__dict__", {})}


def _set_fields(held: Any, content: dict[str, Any]) -> None:
    own = getattr(held, "__dict__", {})
    own.clear()
    for name, value in content.items():
        if _is_slot(held, name):
            # Not by the object's own method: it may be frozen.
            object.__setattr__(held, name, value)
        else:
            own[name] = value


def _is_slot(held: Any, name: str) -> bool:
    return isinstance(getattr(type(held), name, None), MemberDescriptorType)


def _set_state(held: numpy.random.Generator, state: Any) -> None:
    held.bit_generator.state = state


def _way(held: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], object]]:
    ways = (way for kind, way in _WAYS.items() if isinstance(held, kind))
    return next(ways, (_fields, _set_fields))


_RandomState = numpy.random.RandomState
_WAYS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], object]]] = {
    list: (list, _refill),
    dict: (dict, _refill),
    set: (set, _refill),
    deque: (list, _refill),
    Tensor: (lambda held: (held.clone(), held._version), lambda held, old: held.copy_(old[0])),
    numpy.ndarray: (numpy.copy, numpy.copyto),
    random.Random: (random.Random.getstate, random.Random.setstate),
    _RandomState: (_RandomState.get_state, _RandomState.set_state),
    numpy.random.Generator: (lambda held: held.bit_generator.state, _set_state),
    torch.Generator: (torch.Generator.get_state, torch.Generator.set_state),
}
"""Functions that read each kind and put it back."""
_PLAIN = (list, dict, set, deque)
