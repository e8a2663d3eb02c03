"""All that an object holds, bit for bit, to see whether a call has changed it."""

import dataclasses

import torch
from torch import nn

PLAIN = str | int | float | bool | None


def snapshot(holder: nn.Module | object) -> dict[str, tuple]:
    """Each object that a module or a dataclass holds, and its values, by the path to it."""
    found: dict[str, tuple] = {}
    if isinstance(holder, nn.Module):
        found["state_dict"] = (None, list(holder.state_dict()))
        for name, part in holder.named_modules(remove_duplicate=False):
            found[f"{name or 'model'} itself"] = (part, type(part))
            _add(found, name or "model", vars(part))
    else:
        for field in dataclasses.fields(holder):
            _add(found, field.name, getattr(holder, field.name))
    return found


def differences(before: dict[str, tuple], after: dict[str, tuple]) -> list[str]:
    """The paths at which two snapshots differ."""
    return sorted(
        path
        for path in before.keys() | after.keys()
        if path not in before or path not in after or not _same(before[path], after[path])
    )


def _add(found: dict[str, tuple], path: str, value: object) -> None:
    """An object, which is kept so that no other has its address, and what it holds."""
    if isinstance(value, PLAIN):
        found[path] = (None, value)
    elif isinstance(value, torch.Tensor):
        flags = (value.dtype, value.requires_grad, value.is_leaf and value.grad is not None)
        found[path] = (value, flags, value.detach().clone())
    elif isinstance(value, dict):
        found[path] = (value, list(value))
        for key, item in value.items():
            _add(found, f"{path}.{key}", item)
    elif isinstance(value, list | tuple):
        found[path] = (value, len(value))
        for number, item in enumerate(value):
            _add(found, f"{path}[{number}]", item)
    else:
        found[path] = (value,)


def _same(before: tuple, after: tuple) -> bool:
    if before[0] is not after[0] or len(before) != len(after):
        return False
    if isinstance(before[-1], torch.Tensor):
        return before[1] == after[1] and torch.equal(before[2], after[2])
    return before[1:] == after[1:]
