"""The meta-gradient of a plain loop in PyTorch alone, to compare that of the library with.

Nothing here is the library's. Where PyTorch's own second derivative is wrong or missing, the plain
model has the operation written out. The row of an embedding that stands for padding is a constant.
"""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm

from tests.exactness.hub_models import exchanged
from tests.exactness.real_models import STEPS, RealModel
from tests.plain import adapted_losses, gradient_of


class HardSigmoid(nn.Module):
    def forward(self, x):
        return (x + 3).clamp(0, 6) / 6


class HardSwish(nn.Module):
    def forward(self, x):
        return x * ((x + 3).clamp(0, 6) / 6)


class PlainLoop:
    """Some inner steps by gradient descent on each task, with the graph of all of it."""

    def __init__(self, case: RealModel, smooth: bool = False):
        self.case, self.tasks = case, case.tasks()
        named = case.model(smooth).named_parameters()
        self.start = {name: p for name, p in named if p.requires_grad}
        layers = {nn.Hardswish: HardSwish, nn.Hardsigmoid: HardSigmoid}
        self.model, self.dims = _without_norms(exchanged(case.model(smooth), layers))
        self.padding = {
            f"{name}.weight": part.weight[part.padding_idx].detach().clone()
            for name, part in self.model.named_modules()
            if isinstance(part, nn.Embedding) and part.padding_idx == 0
        }

    def losses(self, exact: bool, on: str = "query") -> torch.Tensor:
        """That of each task after adaptation, on its query set or on its support set."""
        lr = self.case.lr
        return adapted_losses(self.start, self.tasks, lr, STEPS, self._loss, exact=exact, on=on)

    def gradient(self, exact: bool = True) -> dict[str, torch.Tensor]:
        """That of the mean query loss; without ``exact``, of first order."""
        return gradient_of(self.losses(exact).mean(), self.start)

    def _loss(self, params, x, y):
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        tensors = {**buffers, **_written_out(params, self.dims)}
        for name, row in self.padding.items():
            if name in tensors:
                tensors[name] = torch.cat([row[None], tensors[name][1:]])
        # A fresh tensor each time: some models differentiate by what they are given.
        inputs = ((), x) if isinstance(x, dict) else ((x.clone(),), {})
        with sdpa_kernel(SDPBackend.MATH):
            return self.case.loss(functional_call(self.model, tensors, *inputs), y)


def _without_norms(model: nn.Module) -> tuple[nn.Module, dict[str, int]]:
    """The model with plain weights, and the dimension of each that weight norm keeps."""
    dims = {}
    for name, part in list(model.named_modules()):
        for hook in list(part._forward_pre_hooks.values()):
            if type(hook).__name__ == "WeightNorm":
                dims[name] = hook.dim
                remove_weight_norm(part)
            elif type(hook).__name__ == "SpectralNorm":
                remove_spectral_norm(part)
        if parametrize.is_parametrized(part, "weight"):
            first = part.parametrizations.weight[0]
            if type(first).__name__ == "_WeightNorm":
                dims[name] = first.dim
            parametrize.remove_parametrizations(part, "weight")
    return model, dims


def _written_out(params, dims):
    """The weights that weight norm and spectral norm make of their parameters."""
    tensors = {}
    for name, value in params.items():
        layer, _, part = name.partition(".parametrizations.weight.")
        if not part:
            layer, _, part = name.rpartition(".")
        if part in ("weight_g", "original0"):
            direction = params[name[: -len(part)] + _DIRECTION[part]]
            others = [d for d in range(direction.dim()) if d != dims[layer] % direction.dim()]
            tensors[f"{layer}.weight"] = direction * (
                value / direction.norm(dim=others, keepdim=True)
            )
        elif part in ("weight_orig", "original"):
            tensors[f"{layer}.weight"] = value / torch.linalg.matrix_norm(value.flatten(1), 2)
        elif part not in _DIRECTION.values():
            tensors[name] = value
    return tensors


_DIRECTION = {"weight_g": "weight_v", "original0": "original1"}
