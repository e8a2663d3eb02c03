"""Large weights in eight bits: whole numbers, and a scale for each row (output channel)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.learners.heads import head_of

LEAST = 1024  # numbers of a tensor that is worth a scale a row


def names_of(model: nn.Module) -> frozenset[str]:
    """The names of the tensors of a network that become eight bits: large ones of its body."""
    try:
        head = head_of(model)
    except InputError:
        head = None
    return frozenset(
        name
        for name, value in model.named_parameters()
        if value.dim() > 1
        and value.numel() >= LEAST
        and value.is_floating_point()
        and (head is None or not (head == "" or name.startswith(f"{head}.")))
    )


def quantised(value: Tensor) -> tuple[Tensor, Tensor]:
    """``int8`` numbers of the same shape, and a scale for each row, ``[rows]``."""
    largest = value.detach().abs().flatten(1).amax(1)
    scale = torch.where(largest > 0, largest / 127, 1.0).to(torch.float32)
    rows = scale.view(-1, *[1] * (value.dim() - 1))
    return (value.detach() / rows).round().clamp(-127, 127).to(torch.int8), scale


def rounded(model: nn.Module) -> nn.Module:
    """A copy of a network with the numbers that eight bits stand for."""
    found = copy.deepcopy(model)
    names = names_of(model)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if name in names:
                whole, scale = quantised(parameter)
                parameter.copy_(whole * scale.view(-1, *[1] * (whole.dim() - 1)))
    return found
