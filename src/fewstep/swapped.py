"""A module that has other tensors for a while, and is then as it was, bit for bit.

While a `Swapped` is entered, each part of the module has dicts of its own for parameters, buffers
and children, so nothing that ``forward`` assigns, registers or changes in place reaches the user's.
No part is copied: hooks, closures and shared parts see the module itself.
"""

from __future__ import annotations

import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor, nn

Params = dict[str, Tensor]


class Slot(NamedTuple):
    """One part of a module, and where its tensors are.

    Attributes:
        part: The module.
        parameters: From its own names to those in the whole.
        buffers: Likewise.
        attributes: Names of plain attributes that are tensors.
        entries: Other values that attributes have while it is called.
    """

    part: nn.Module
    parameters: dict[str, str]
    buffers: dict[str, str]
    attributes: list[str]
    entries: dict[str, Any]


class Layout:
    """All parts of some modules, with one name for each tensor.

    Args:
        modules: By the prefix of their names.

    Attributes:
        slots: One for each part, those first that have names.
        tensors: All named parameters and buffers, one that is tied once.
        buffers: Which of them are buffers.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.slots: list[Slot] = []
        self.tensors: dict[str, Tensor] = {}
        self.buffers: set[str] = set()
        self._names: dict[int, str] = {}
        self._containers: dict[int, Any] = {}
        self._seen: set[int] = set()
        hidden: list[nn.Module] = []
        for prefix, module in modules.items():
            for path, part in module.named_modules():
                self._add(part, f"{prefix}{path}." if path else prefix, hidden)
        # Modules in plain lists are no parts, but may be called and changed like them.
        for number, module in enumerate(hidden):
            for path, part in module.named_modules():
                self._add(part, f"{_HIDDEN}{number}.{path}.", hidden)

    def snapshot(self) -> list[tuple[Any, Any]]:
        """Lists, dicts, sets and random generators that the parts hold, with their contents."""
        return [(held, _content(held)) for held in self._containers.values()]

    def _add(self, part: nn.Module, prefix: str, hidden: list[nn.Module]) -> None:
        if id(part) in self._seen:
            return
        self._seen.add(id(part))
        own = part.__dict__
        parameters = {name: self._name(p, prefix + name) for name, p in part._parameters.items()}
        buffers = {name: self._name(b, prefix + name) for name, b in part._buffers.items()}
        self.buffers.update(buffers[name] for name, b in part._buffers.items() if b is not None)
        attributes = [name for name, value in own.items() if isinstance(value, Tensor)]
        for name, value in own.items():
            if name not in _REPLACED:
                self._hold(value, hidden)
        self.slots.append(Slot(part, parameters, buffers, attributes, {}))

    def _name(self, tensor: Tensor | None, name: str) -> str:
        if tensor is None:
            return name
        first = self._names.setdefault(id(tensor), name)
        if not first.startswith(_HIDDEN):
            self.tensors[first] = tensor
        return first

    def _hold(self, value: Any, hidden: list[nn.Module]) -> None:
        if isinstance(value, nn.Module):
            hidden.append(value)
        if type(value) not in _CONTENTS or id(value) in self._containers:
            return
        self._containers[id(value)] = value
        if isinstance(value, _MAPPINGS):
            value = value.values()
        if isinstance(value, Iterable):
            for inner in value:
                self._hold(inner, hidden)


class Swapped:
    """While it is entered, the parts of a layout have these tensors, modes and entries.

    Args:
        layout: Of the modules.
        tensors: Replacements by name; a name that is missing keeps the module's tensor, and a
            buffer of that name a copy of it.
        entries: More attributes for a part, by its number among the slots.
    """

    def __init__(
        self, layout: Layout, tensors: Params, entries: Mapping[int, dict[str, Any]]
    ) -> None:
        self._layout = layout
        self._tensors = tensors
        self._entries = entries

    def __enter__(self) -> None:
        self._saved: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._contents = self._layout.snapshot()
        copies: Params = {}
        try:
            for number, slot in enumerate(self._layout.slots):
                own = slot.part.__dict__
                self._saved.append((own, own.copy()))
                self._put(slot, own, copies)
                own.update(slot.entries)
                if number in self._entries:
                    own.update(self._entries[number])
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for own, before in reversed(self._saved):
            own.clear()
            own.update(before)
        for held, content in self._contents:
            _restore(held, content)

    def _put(self, slot: Slot, own: dict[str, Any], copies: Params) -> None:
        tensors = self._tensors
        if slot.parameters:
            before = own["_parameters"]
            own["_parameters"] = {
                name: tensors.get(full, before[name]) for name, full in slot.parameters.items()
            }
        if slot.buffers:
            before = own["_buffers"]
            for name, full in slot.buffers.items():
                if full not in copies and before[name] is not None:
                    copies[full] = tensors[full] if full in tensors else before[name].clone()
            own["_buffers"] = {name: copies.get(full) for name, full in slot.buffers.items()}
        if own["_modules"]:
            own["_modules"] = dict(own["_modules"])
        for name in slot.attributes:
            # One with a graph is of an earlier call, and nobody can change it in place.
            if not own[name].requires_grad:
                own[name] = own[name].clone()


_HIDDEN = "\0"
"""Begins the names of tensors that the user's module does not name itself."""
_REPLACED = {"_parameters", "_buffers", "_modules"}
"""Entries of a part's ``__dict__`` that are other dicts while it is called."""


def _get_generator(generator: numpy.random.Generator) -> Any:
    return generator.bit_generator.state


def _set_generator(generator: numpy.random.Generator, state: Any) -> None:
    generator.bit_generator.state = state


def _refill_list(held: Any, content: Any) -> None:
    held[:] = content


def _refill(held: Any, content: Any) -> None:
    held.clear()
    (held.extend if isinstance(held, deque) else held.update)(content)


_MAPPINGS = (dict, OrderedDict, defaultdict)
_CONTENTS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], object]]] = {
    list: (list, _refill_list),
    deque: (list, _refill),
    set: (set, _refill),
    dict: (dict, _refill),
    OrderedDict: (OrderedDict, _refill),
    defaultdict: (dict, _refill),
    random.Random: (random.Random.getstate, random.Random.setstate),
    numpy.random.RandomState: (
        numpy.random.RandomState.get_state,
        numpy.random.RandomState.set_state,
    ),
    numpy.random.Generator: (_get_generator, _set_generator),
    torch.Generator: (torch.Generator.get_state, torch.Generator.set_state),
}
"""What can change inside without another object coming in its place: how it is read and put back.
"""


def _content(held: Any) -> Any:
    """Its content; None where it is empty, as most are."""
    return None if _is_empty(held) else _CONTENTS[type(held)][0](held)


def _restore(held: Any, content: Any) -> None:
    if content is None:
        if not _is_empty(held):
            held.clear()
    elif not isinstance(held, Collection) or not _same(held, content):
        _CONTENTS[type(held)][1](held, content)


def _is_empty(held: Any) -> bool:
    return isinstance(held, Collection) and not held


def _same(held: Any, content: Any) -> bool:
    if len(held) != len(content):
        return False
    if isinstance(held, set):
        return bool(held == content)
    return all(one is other for one, other in zip(_items(held), _items(content), strict=True))


def _items(held: Any) -> Iterator[Any]:
    """The values of a list, or the keys and values of a dict."""
    if not isinstance(held, _MAPPINGS):
        yield from held
        return
    for key, value in held.items():
        yield key
        yield value
