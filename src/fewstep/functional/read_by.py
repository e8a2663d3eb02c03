"""Values outside of a function that its code names."""

import dis
import sys
from contextlib import suppress
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

_LIBRARIES = {"torch", "fewstep", "numpy", *sys.stdlib_module_names}
_INSTALLED = ("site-packages", "dist-packages")
"""In the paths of code that is installed."""


def read_by(function: object, owner: object = None, _seen: set[object] | None = None) -> list[Any]:
    """Return what a function's code may read.

    That is its closure, defaults and attributes, and what it names: global values, what is in
    modules and classes that are such, and what its owner has, or reads in methods that it names.

    Args:
        function: The function; one that is not written in Python reads nothing.
        owner: The object that it is a method of.
    """
    function = getattr(function, "__func__", function)
    seen = {function} if _seen is None else _seen
    if not isinstance(function, FunctionType):
        return []
    found: list[Any] = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):
            found.append(cell.cell_contents)
    found += function.__defaults__ or ()
    found += (function.__kwdefaults__ or {}).values()
    found += vars(function).values()
    names = _names(function.__code__)
    if owner is not None:
        own = getattr(owner, "__dict__", {})
        found += [own[name] for name in names if name in own]
        for value in in_class(owner if isinstance(owner, type) else type(owner), names):
            found.append(value)
            for method in functions_of(value):
                if method not in seen:
                    seen.add(method)
                    found += read_by(method, owner, seen)
    if _root(function.__module__) not in _LIBRARIES:
        for name in _global_names(function.__code__):
            found += _global(function.__globals__, name, names)
    return found


def in_class(kind: type, names: set[str] | None = None) -> list[Any]:
    """Return what a class, and those it is made of, have under these names, or any but its own."""
    return [
        value
        for each in kind.__mro__
        if not is_library(each)
        for name, value in vars(each).items()
        if (name in names if names is not None else not _is_of_every_class(name))
    ]


def functions_of(value: object) -> list[FunctionType]:
    """Return the functions that a value in a class is made of."""
    parts = (value, *(getattr(value, name, None) for name in ("fget", "func", "__func__")))
    return [part for part in parts if isinstance(part, FunctionType)]


def is_library(value: Any) -> bool:
    """Whether a function, class or module is of the standard library, or installed."""
    if isinstance(value, ModuleType):
        name: str | None = value.__name__
    else:
        name = getattr(value, "__module__", None)
    if _root(name) in _LIBRARIES:
        return True
    path = getattr(sys.modules.get(name or ""), "__file__", None) or ""
    return any(part in path for part in _INSTALLED)


def _global(values: dict[str, Any], name: str, names: set[str]) -> list[Any]:
    if name not in values:
        return []
    value = values[name]
    if isinstance(value, ModuleType) and not is_library(value):
        return [value, *(vars(value)[inner] for inner in names if inner in vars(value))]
    if isinstance(value, type) and not is_library(value):
        return [value, *in_class(value, names)]
    return [value]


def _names(code: CodeType) -> set[str]:
    """The names in a function's code, and in that of functions in it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


@lru_cache(maxsize=4096)
def _global_names(code: CodeType) -> frozenset[str]:
    """Those names that are no attribute's, which may have the name of something else outside."""
    inner = [_global_names(each) for each in code.co_consts if isinstance(each, CodeType)]
    own = {i.argval for i in dis.get_instructions(code) if i.opname in _LOADS}
    return frozenset(own).union(*inner)


_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}


def _is_of_every_class(name: str) -> bool:
    return name in ("__init__", "__new__", "__dict__", "__weakref__", "__doc__", "__module__")


def _root(module: str | None) -> str:
    return (module or "builtins").partition(".")[0]
