"""The meta-gradient of a plain loop in PyTorch alone, to compare that of the library with.

Nothing here is the library's. Where PyTorch's own second derivative is wrong or missing, the plain
model has the operation written out. The row of an embedding that stands for padding is a constant.
"""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm

from .hub_models import exchanged
from .real_models import STEPS, RealModel


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
        losses = []
        for number in range(len(self.tasks)):
            params = self.start
            x, y = self._examples("support", number)
            for _ in range(STEPS):
                gradients = torch.autograd.grad(
                    self._loss(params, x, y),
                    list(params.values()),
                    create_graph=exact,
                    materialize_grads=True,
                )
                params = {
                    name: value - self.case.lr * gradient
                    for (name, value), gradient in zip(params.items(), gradients, strict=True)
                }
            losses.append(self._loss(params, *self._examples(on, number)))
        return torch.stack(losses)

    def gradient(self, exact: bool = True) -> dict[str, torch.Tensor]:
        """That of the mean query loss; without ``exact``, of first order."""
        loss = self.losses(exact).mean()
        gradients = torch.autograd.grad(loss, list(self.start.values()), materialize_grads=True)
        return dict(zip(self.start, gradients, strict=True))

    def _examples(self, on, number):
        x, y = getattr(self.tasks, f"{on}_x"), getattr(self.tasks, f"{on}_y")[number]
        if isinstance(x, dict):
            return {name: value[number] for name, value in x.items()}, y
        return x[number], y

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
