"""A network with a context vector, for CAVIA."""

from typing import Any

import torch
from torch import Tensor, nn


class WithContext(nn.Module):
    """A network, one layer of which is modulated by a vector that can adapt to a task.

    The layer's output h becomes gamma * h + beta for each channel, with
    gamma = 1 + A context and beta = B context (FiLM, Perez et al. 2018, arXiv 1709.07871; as CAVIA,
    Zintgraf et al. 2019, arXiv 1810.03642, does for pictures). The vector, ``context``, is zero at
    first, so that the network computes what it did before.

    Args:
        model: Any module; its code is left as it is.
        size: How many numbers the vector has.
        layer: Name of the module in ``model`` that is modulated, which returns
            ``[examples, channels, ...]``.
        channels: How many it returns.

    >>> model = WithContext(nn.Sequential(nn.Linear(2, 8), nn.ReLU()), 4, layer="0", channels=8)
    >>> model(torch.ones(3, 2)).shape, model.context.shape
    (torch.Size([3, 8]), torch.Size([4]))
    """

    def __init__(self, model: nn.Module, size: int, layer: str, channels: int) -> None:
        super().__init__()
        self.model = model
        self.layer = layer
        self.context = nn.Parameter(torch.zeros(size))
        self.modulation = nn.Linear(size, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Any:
        """Predict in this context."""
        # For this call alone, so that a copy of the model carries no hook of the original.
        hook = self.model.get_submodule(self.layer).register_forward_hook(self._modulate)
        try:
            return self.model(x)
        finally:
            hook.remove()

    def _modulate(self, _: nn.Module, __: Any, h: Tensor) -> Tensor:
        gamma: Tensor
        beta: Tensor
        gamma, beta = self.modulation(self.context).chunk(2)
        shape = [-1, *[1] * (h.dim() - 2)]
        return h * (1 + gamma.view(shape)) + beta.view(shape)
