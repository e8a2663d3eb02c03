"""What a module consists of, to see at once whether that has changed."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Generic, TypeVar

from torch import nn

Value = TypeVar("Value")


def structure(module: nn.Module) -> list[object]:
    """Its parts, their modes, their parameters, which of those are learned, and their buffers."""
    found: list[object] = []
    for part in module.modules():
        found += (part, part.training, *part._buffers.values())
        for parameter in part._parameters.values():
            found += (parameter, parameter is not None and parameter.requires_grad)
    return found


class Latest(Generic[Value]):
    """The latest result of a function, as long as all that it depends on are the same objects."""

    def __init__(self) -> None:
        self._made_of: list[object] = []
        self._value: Value | None = None

    def of(
        self, made_of: list[object], make: Callable[[], Value], lasting: Callable[[Value], bool]
    ) -> Value:
        """What ``make`` returned for the same objects, or returns now.

        Args:
            made_of: All that the result depends on.
            make: Makes it.
            lasting: Whether a result may be returned again.
        """
        same = len(made_of) == len(self._made_of) and all(map(is_, made_of, self._made_of))
        if same and self._value is not None:
            return self._value
        value = make()
        self._made_of, self._value = made_of, value if lasting(value) else None
        return value
