"""Inputs of a model: a tensor, or tuples and dicts of such."""

from collections.abc import Callable
from typing import Any, Union

import torch
from torch import Tensor

Inputs = Union[Tensor, tuple["Inputs", ...], dict[str, "Inputs"]]  # noqa: UP007
"""Inputs of a model: a tensor, a tuple for ``model(*x)``, a dict for ``model(**x)``."""


def map_tensors(function: Callable[..., Tensor], *inputs: Any) -> Any:
    """Call a function with each tensor, or with those at the same place of several inputs."""
    first = inputs[0]
    if isinstance(first, dict):
        return {key: map_tensors(function, *(x[key] for x in inputs)) for key in first}
    if isinstance(first, tuple):
        return tuple(map_tensors(function, *parts) for parts in zip(*inputs, strict=True))
    return function(*inputs)


def tensors_of(inputs: Inputs) -> list[Tensor]:
    """Return the tensors that inputs consist of, in order."""
    if isinstance(inputs, Tensor):
        return [inputs]
    parts = inputs.values() if isinstance(inputs, dict) else inputs
    return [tensor for part in parts for tensor in tensors_of(part)]


def fresh(inputs: Inputs) -> Inputs:
    """Return the inputs as new tensors of the same memory.

    A model that differentiates by its input would otherwise reach through earlier inner steps.
    """

    def alias(x: Tensor) -> Tensor:
        return x.view_as(x) if x.layout is torch.strided else x.detach()

    return map_tensors(alias, inputs)  # type: ignore[no-any-return]


def named(name: str, value: Inputs) -> list[tuple[str, Tensor]]:
    """The tensors of a value, each with the words that lead to it."""
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in named(f"{name}[{key!r}]", part)]
    if isinstance(value, tuple):
        parts = enumerate(value)
        return [pair for number, part in parts for pair in named(f"{name}[{number}]", part)]
    return [(name, value)]
