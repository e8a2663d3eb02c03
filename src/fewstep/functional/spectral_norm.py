"""Spectral normalisation as a function of the weight alone (Miyato et al. 2018, arXiv 1802.05957).

PyTorch remembers one step of a power iteration from call to call, in buffers. Here a call leaves
nothing behind, so the largest singular value is computed to the end within each.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm


def largest_singular_value(matrix: Tensor) -> Tensor:
    """Return the spectral norm of ``[rows, columns]``, which can be differentiated twice.

    Its singular vector u follows the matrix to first order (perturbation theory of a symmetric
    matrix), and a Rayleigh quotient is then right to third order. PyTorch's own derivatives of
    singular values divide by the differences of all of them; here only the distance from the
    largest to the others counts.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    gram = wide @ wide.mT
    with torch.no_grad():
        # What is not finite is told of later, by its task.
        values, vectors = torch.linalg.eigh(gram.nan_to_num())
        gaps = values[..., -1:] - values[..., :-1]
        # Where the largest comes twice, but for rounding, there is no derivative.
        same = gaps <= torch.finfo(gaps.dtype).eps ** 0.5 * values[..., -1:]
        inverse = (1 / gaps).masked_fill(same, 0)
        top, others = vectors[..., -1:], vectors[..., :-1]
    u = top + others @ (inverse.unsqueeze(-1) * (others.mT @ (gram @ top)))
    largest: Tensor = torch.linalg.vector_norm(wide.mT @ u) / torch.linalg.vector_norm(u)
    return largest


def parametrization(module: _SpectralNorm) -> Callable[[Tensor], Tensor]:
    """Return the ``forward`` of ``torch.nn.utils.parametrizations.spectral_norm``."""

    def forward(weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=module.eps)
        return weight / largest_singular_value(module._reshape_weight_to_matrix(weight))

    return forward


def pre_hook(hook: SpectralNorm) -> Callable[[nn.Module, object], None]:
    """Return the forward pre-hook of ``torch.nn.utils.spectral_norm``."""

    def before(module: nn.Module, _: object) -> None:
        weight = getattr(module, f"{hook.name}_orig")
        sigma = largest_singular_value(hook.reshape_weight_to_matrix(weight))
        setattr(module, hook.name, weight / sigma)

    return before


def settle(model: nn.Module) -> None:
    """Let PyTorch's spectral norms of a model give what is computed here, in eval mode."""
    with torch.no_grad():
        for matrix, u, v in _iterations(model):
            left, _, right = torch.linalg.svd(matrix, full_matrices=False)
            u.copy_(left[:, 0])
            v.copy_(right[0])


def _iterations(model: nn.Module) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Weight matrix, left and right singular vector of each spectral norm."""
    for part in model.modules():
        for hook in part._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                weight = getattr(part, f"{hook.name}_orig")
                u, v = (getattr(part, f"{hook.name}_{side}") for side in "uv")
                yield hook.reshape_weight_to_matrix(weight), u, v
        for steps in getattr(part, "parametrizations", {}).values():
            # The first may be computed from several tensors.
            originals: list[Tensor] = [*steps.parameters(False), *steps.buffers(False)]
            value, *more = originals
            for number, step in enumerate(steps):
                if isinstance(step, _SpectralNorm) and value.dim() > 1:
                    yield step._reshape_weight_to_matrix(value), step._u, step._v
                value = step(value) if number else step(value, *more)
