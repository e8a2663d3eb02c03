"""What can change inside without another object coming in its place: how it is read and put back.

Lists, dicts, sets, arrays, dataclasses, random generators, and tensors in any of them.
"""

from __future__ import annotations

import dataclasses
import random
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy
import torch
from torch import Tensor


def can_change(value: Any) -> bool:
    """Whether a value is of a kind that is read and put back."""
    if isinstance(value, Tensor):
        # One with a graph is of an earlier call, and nobody can change it in place.
        return not value.requires_grad and value.layout is torch.strided
    if isinstance(value, type):
        return False
    return isinstance(value, _KINDS) or dataclasses.is_dataclass(value)


def items_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """The values in a dict, a list or an object, each with its key, place or name."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple, deque)):
        yield from enumerate(value)
    elif _has_fields(value):
        yield from vars(value).items()


def content_of(held: Any) -> Any:
    """Its content now; None where it is empty, as most are."""
    return None if isinstance(held, _PLAIN) and not held else _way(held)[0](held)


def restore(held: Any, content: Any) -> None:
    """Put a content back that `content_of` read."""
    if content is None:
        if held:
            held.clear()
    elif not _same(held, content):
        _way(held)[1](held, content)


def _has_fields(value: Any) -> bool:
    return hasattr(value, "__dict__") and (
        isinstance(value, SimpleNamespace) or dataclasses.is_dataclass(value)
    )


def _same(held: Any, content: Any) -> bool:
    """Whether nothing has to be put back."""
    if isinstance(held, Tensor):
        return held._version == content[1]  # type: ignore[no-any-return]
    if isinstance(held, _PLAIN) or _has_fields(held):
        now = vars(held) if _has_fields(held) else held
        if len(now) != len(content):
            return False
        if isinstance(held, set):
            return bool(held == content)
        pairs = zip(_flat(now), _flat(content), strict=True)
        return all(one is other for one, other in pairs)
    return False


def _flat(values: Any) -> Iterator[Any]:
    """The values of a list, or the keys and values of a dict."""
    if not isinstance(values, dict):
        yield from values
        return
    for key, value in values.items():
        yield key
        yield value


def _way(held: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], object]]:
    for kind, way in _WAYS.items():
        if isinstance(held, kind):
            return way
    return _fields, _set_fields


def _set_list(held: Any, content: Any) -> None:
    held[:] = content


def _refill(held: Any, content: Any) -> None:
    held.clear()
    (held.extend if isinstance(held, deque) else held.update)(content)


def _set_tensor(held: Tensor, content: tuple[Tensor, int]) -> None:
    held.copy_(content[0])


def _generator(held: numpy.random.Generator) -> Any:
    return held.bit_generator.state


def _set_generator(held: numpy.random.Generator, state: Any) -> None:
    held.bit_generator.state = state


def _fields(held: Any) -> dict[str, Any]:
    return dict(vars(held))


def _set_fields(held: Any, content: dict[str, Any]) -> None:
    vars(held).clear()
    vars(held).update(content)


_WAYS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], object]]] = {
    list: (list, _set_list),
    dict: (dict, _refill),
    set: (set, _refill),
    deque: (list, _refill),
    Tensor: (lambda held: (held.clone(), held._version), _set_tensor),
    numpy.ndarray: (numpy.copy, numpy.copyto),
    random.Random: (random.Random.getstate, random.Random.setstate),
    numpy.random.RandomState: (
        numpy.random.RandomState.get_state,
        numpy.random.RandomState.set_state,
    ),
    numpy.random.Generator: (_generator, _set_generator),
    torch.Generator: (torch.Generator.get_state, torch.Generator.set_state),
}
_PLAIN = (list, dict, set, deque)
_KINDS = (*_WAYS, SimpleNamespace)
