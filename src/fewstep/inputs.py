"""Inputs of a model: a tensor, or tuples and dicts of such."""

from collections.abc import Callable
from typing import Any, Union

import torch
from torch import Tensor

from fewstep.errors import InputError

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


def check_as_first(
    name: str, number: int, parts: dict[str, Tensor], first: dict[str, Tensor]
) -> None:
    """See that a task has the parts of task 0, and that they are tensors of the same shapes."""
    if parts.keys() != first.keys():
        told, of_first = (", ".join(each) or f"no {name}" for each in (parts, first))
        raise InputError(
            f"task {number} has {told} and task 0 {of_first}; expected the same parts in every task"
        )
    for part, tensor in parts.items():
        if not isinstance(tensor, Tensor):
            raise InputError(
                f"{part} of task {number} is a {type(tensor).__name__}; expected a torch.Tensor"
            )
        if tensor.shape[1:] != first[part].shape[1:]:
            raise InputError(
                f"{part} of task {number} is {list(tensor.shape)} and of task 0 "
                f"{list(first[part].shape)}; expected examples of the same shape in every task"
            )


def check_alike(kind: str, support: Inputs, query: Inputs) -> None:
    """See that support and query consist of the same parts, of the same types and shapes."""
    ours, theirs = (dict(named("", x)) for x in (support, query))
    if ours.keys() != theirs.keys():
        told, other_told = (", ".join(sorted(x)) or "a tensor" for x in (ours, theirs))
        raise InputError(
            f"the support {kind}s have {told} and the query {kind}s {other_told}; expected the "
            "same parts"
        )
    for part, one in sorted(ours.items()):
        other = theirs[part]
        # Beside others a tensor may have a column an example, as an adjacency matrix has.
        single = isinstance(support, Tensor)
        if one.shape[2:] != other.shape[2:] if single else one.dim() != other.dim():
            raise InputError(
                f"one support {kind}{part} is {list(one.shape[2:])} and one query {kind}{part} "
                f"{list(other.shape[2:])}; expected the same shape"
            )
        if one.dtype != other.dtype:
            letter = "x" if kind == "example" else "y"
            raise InputError(
                f"support_{letter}{part} is {one.dtype} and query_{letter}{part} {other.dtype}; "
                "expected the same type"
            )
