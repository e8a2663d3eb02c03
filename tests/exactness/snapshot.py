"""All that a module holds, bit for bit, to see what a call has changed."""

import dataclasses

import torch
from torch import nn


def snapshot(holder: nn.Module | object) -> dict[str, object]:
    """Every object that a module or a dataclass holds, by the path to it, with its values."""
    found: dict[str, object] = {}
    if isinstance(holder, nn.Module):
        for name, part in holder.named_modules(remove_duplicate=False):
            _add(found, f"{name or 'model'}", vars(part))
            found[f"{name or 'model'} itself"] = (id(part), type(part))
        found["state_dict"] = list(holder.state_dict())
    else:
        for field in dataclasses.fields(holder):
            _add(found, field.name, getattr(holder, field.name))
    return found


def differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """The paths at which two snapshots differ."""
    return sorted(
        path
        for path in before.keys() | after.keys()
        if path not in before or path not in after or not _same(before[path], after[path])
    )


def _add(found, path, value):
    """The value itself, and what it holds if it is a collection."""
    if isinstance(value, torch.Tensor):
        grad = None if value.is_leaf is False else value.grad
        flags = (id(value), type(value), value.dtype, value.requires_grad, grad is None)
        found[path] = (flags, value.detach().clone())
        return
    found[path] = (id(value), type(value))
    if isinstance(value, dict):
        found[f"{path} keys"] = list(value)
        for key, item in value.items():
            _add(found, f"{path}.{key}", item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _add(found, f"{path}[{number}]", item)
    elif isinstance(value, str | int | float | bool | None):
        found[path] = value


def _same(one, other):
    if isinstance(one, tuple) and isinstance(one[-1], torch.Tensor):
        return (
            isinstance(other, tuple)
            and one[0] == other[0]
            and torch.equal(one[1].view(-1), other[1].view(-1))
        )
    return type(one) is type(other) and one == other
