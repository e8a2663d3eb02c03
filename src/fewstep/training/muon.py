"""The mathematics of Muon, whose steps change all directions of a weight matrix alike.

A step of Adam is mostly along the few directions in which gradients are large. Muon replaces the
averaged gradient of a matrix by the nearest matrix of orthonormal rows or columns (Jordan and
others 2024, kellerjordan.github.io/posts/muon). The weights of a convolution are a matrix of a row
for each filter.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

SCALE = 0.2
"""Root mean square of the numbers of a step of size 1, about that of Adam's steps, so that both
take the same step size (Liu and others 2025, arXiv 2502.16982, equation 4)."""
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that brings every singular value to about 1 in five iterations (Jordan)."""


def muon_steps(gradients: Sequence[Tensor]) -> Tensor:
    """The steps of size 1 along averaged gradients of one shape, ``[gradients, *shape]``.

    They have two or more dimensions. Together they take as many operations as one.

    >>> _ = torch.manual_seed(0)
    >>> steps = muon_steps([torch.randn(8, 3, 3, 3), torch.randn(8, 3, 3, 3)])
    >>> steps.shape, abs(float(steps.square().mean().sqrt()) - 0.2) < 0.05
    (torch.Size([2, 8, 3, 3, 3]), True)
    """
    stacked = torch.stack(list(gradients))
    directions = orthogonalised(stacked.flatten(2))
    size: float = SCALE * max(directions.shape[1:]) ** 0.5
    return directions.reshape_as(stacked) * size


def orthogonalised(matrix: Tensor) -> Tensor:
    """Matrices with the singular vectors of ``[..., rows, columns]``, and singular values near 1.

    Five Newton-Schulz iterations leave these between 0.7 and 1.2, which serves as well.

    >>> _ = torch.manual_seed(0)
    >>> values = torch.linalg.svdvals(orthogonalised(torch.randn(8, 30)))
    >>> bool(values.min() > 0.6), bool(values.max() < 1.3)
    (True, True)
    """
    wide: Tensor = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mH
    found: Tensor = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp_min(1e-30)
    first, third, fifth = _COEFFICIENTS
    for _ in range(5):
        square = found @ found.mH
        found = first * found + (third * square + fifth * square @ square) @ found
    return found if wide is matrix else found.mH


def hidden_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights of all convolutions and linear layers but the last, which is the output layer.

    >>> hidden_weights(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))[0].shape
    torch.Size([3, 2])
    """
    layers = [of for of in model.modules() if isinstance(of, _ConvNd | nn.Linear)]
    weights = [of for layer in layers[:-1] for of in layer.parameters(recurse=False)]
    return [weight for weight in weights if weight.dim() > 1]
