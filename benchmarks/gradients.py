"""How far one gradient is from another."""

from __future__ import annotations

import torch
from torch import Tensor

Gradient = dict[str, Tensor]
SAME = 1e-8
"""Gradients that differ by more, relative and in float64, are not the same gradient."""


def distance(found: Gradient, reference: Gradient) -> float:
    """Relative to the length of the reference; a gradient that is missing counts as zero."""
    off = sum(float((found.get(n, 0 * g) - g).square().sum()) for n, g in reference.items())
    return float((off / sum(float(g.square().sum()) for g in reference.values())) ** 0.5)


def cosine(found: Gradient, reference: Gradient) -> float:
    """Of the angle between two gradients."""
    one, other = (
        torch.cat([gradient[name].double().flatten() for name in reference])
        for gradient in (found, reference)
    )
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))
