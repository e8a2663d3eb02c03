"""A module that has other tensors for a while, and is then as it was, bit for bit.

While a `Swapped` is entered, each part of the module has dicts of its own for parameters, buffers
and children, so nothing that ``forward`` assigns, registers or changes in place reaches the user's.
No part is copied: hooks, closures and shared parts see the module itself.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import Parameter

from fewstep.errors import InputError
from fewstep.functional.contents import can_change, content_of, items_in, restore

Params = dict[str, Tensor]


class Slot(NamedTuple):
    """One part of a module, and where its tensors are."""

    part: nn.Module
    parameters: dict[str, str]  # from its own names to those in the whole
    buffers: dict[str, str]
    attributes: list[str]  # names of plain attributes that are tensors
    entries: dict[str, Any]  # other values that attributes have while it is called


class Layout:
    """All parts of some modules, by prefix, with one name for each tensor.

    ``slots`` are the parts, those first that have names. ``tensors`` has one that is tied once, by
    its first name. ``held`` are lists and dicts with parameters, and where in them each is.
    """

    def __init__(self, modules: Mapping[str, nn.Module], beside: Iterable[Any] = ()) -> None:
        self.slots: list[Slot] = []
        self.tensors: dict[str, Tensor] = {}
        self.buffers: set[str] = set()
        self.held: list[tuple[Any, dict[Any, str]]] = []
        self._names: dict[int, str] = {}
        self._containers: dict[int, Any] = {}
        self._seen: set[int] = set()
        self._hidden: list[nn.Module] = []
        self._modules = modules
        parts = [
            (part, f"{prefix}{path}." if path else prefix)
            for prefix, module in modules.items()
            for path, part in module.named_modules()
        ]
        # A buffer may be the very tensor that a parameter is.
        for kind in ("_parameters", "_buffers"):
            for part, prefix in parts:
                for name, tensor in getattr(part, kind).items():
                    self._name(tensor, prefix + name)
        for part, prefix in parts:
            self._add(part, prefix)
        for value in beside:
            self._look_beside(value)
        # Modules in plain lists are no parts, but may be called and changed like them.
        for number, module in enumerate(self._hidden):
            for path, part in module.named_modules():
                self._add(part, f"{_HIDDEN}{number}.{path}.")

    def snapshot(self) -> list[tuple[Any, Any]]:
        """Return what the parts hold that can change inside, with its contents."""
        return [(held, content_of(held)) for held in self._containers.values()]

    def by_first_names(self, tensors: Params) -> Params:
        """Return tensors by the names of this layout, given some by the second of what is tied."""
        if tensors.keys() <= self.tensors.keys():
            return tensors
        found: Params = {}
        given: dict[str, str] = {}
        for name, tensor in tensors.items():
            first = name if name in self.tensors else self._other_names.get(name, name)
            if found.get(first, tensor) is not tensor:
                raise InputError(
                    f"{given[first]!r} and {name!r} are two names of one tensor and were given "
                    "two; give one of them"
                )
            found[first], given[first] = tensor, name
        return found

    @cached_property
    def _other_names(self) -> dict[str, str]:
        """All names, also of a layer in two places, with the first of the same tensor."""
        return {
            prefix + name: self._names[id(tensor)]
            for prefix, module in self._modules.items()
            for kind in (module.named_parameters, module.named_buffers)
            for name, tensor in kind(remove_duplicate=False)
            if id(tensor) in self._names
        }

    def _add(self, part: nn.Module, prefix: str) -> None:
        if id(part) in self._seen:
            return
        self._seen.add(id(part))
        own = part.__dict__
        parameters = {name: self._name(p, prefix + name) for name, p in part._parameters.items()}
        buffers = {name: self._name(b, prefix + name) for name, b in part._buffers.items()}
        self.buffers.update(
            full
            for name, full in buffers.items()
            if part._buffers[name] is not None and not isinstance(self.tensors.get(full), Parameter)
        )
        attributes = [name for name, value in own.items() if isinstance(value, Tensor)]
        for name, value in own.items():
            if name not in _REPLACED and not isinstance(value, Tensor):
                self._hold(value, f"attribute {name!r} of {type(part).__name__}")
        self.slots.append(Slot(part, parameters, buffers, attributes, {}))

    def _name(self, tensor: Tensor | None, name: str) -> str:
        if tensor is None:
            return name
        first = self._names.setdefault(id(tensor), name)
        if not first.startswith(_HIDDEN):
            self.tensors[first] = tensor
        return first

    def _hold(self, value: Any, where: str) -> None:
        """Look through what a part holds for modules, parameters, and all that can change."""
        if isinstance(value, nn.Module):
            self._hidden.append(value)
        self._refuse_parameter(value, where)
        if isinstance(value, tuple):
            for inner in value:
                self._hold(inner, where)
        if not can_change(value) or id(value) in self._containers:
            return
        self._containers[id(value)] = value
        places = self._hold_parameters(value)
        for key, inner in items_in(value):
            if key not in places:
                self._hold(inner, where)

    def _look_beside(self, value: Any) -> None:
        """Look for parameters only in what the loss reaches; all else there is its own affair."""
        for inner in (value, *(value if isinstance(value, tuple) else ())):
            self._refuse_parameter(inner, "the loss")
        if self._hold_parameters(value):
            self._containers[id(value)] = value

    def _hold_parameters(self, value: Any) -> dict[Any, str]:
        """Note where in a list or a dict parameters are, and which."""
        if not isinstance(value, (list, dict)):
            return {}
        places = {key: self._names[id(v)] for key, v in items_in(value) if self._is_named(v)}
        if places:
            self.held.append((value, places))
        return places

    def _is_named(self, value: Any) -> bool:
        name = self._names.get(id(value), "") if isinstance(value, Parameter) else ""
        return self.tensors.get(name) is value and value is not None

    def _refuse_parameter(self, value: Any, where: str) -> None:
        if self._is_named(value):
            raise InputError(
                f"{where} holds the parameter {self._names[id(value)]!r}, which is another while "
                "the model is called; read it from the model there"
            )


class Swapped:
    """While it is entered, the parts of a layout have these tensors, modes and entries.

    A missing parameter stays the module's own, a missing buffer is a copy of it. ``entries`` are
    more attributes for a part, by its number among the slots.
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
            for held, places in self._layout.held:
                for key, full in places.items():
                    held[key] = self._tensors.get(full, held[key])
            for number, slot in enumerate(self._layout.slots):
                own = slot.part.__dict__
                self._saved.append((own, own.copy()))
                self._put(slot, own, copies)
                own.update(slot.entries)
                own.update(self._entries.get(number, {}))
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for own, before in reversed(self._saved):
            own.clear()
            own.update(before)
        for held, content in self._contents:
            restore(held, content)

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


_HIDDEN = "\0"  # begins the names of tensors that the user's module does not name itself
_REPLACED = {"_parameters", "_buffers", "_modules"}  # other dicts while a part is called
