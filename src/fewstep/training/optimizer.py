"""The optimisers of the outer loop, where the user gives none."""

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from fewstep.choices import OptimizerName
from fewstep.learners.base import Learner
from fewstep.training.muon import hidden_weights, muon_steps

HOW = ("foreach", "fused", "capturable")
"""Settings that say how a step is computed, which depends on the device, and not which step."""
MOMENTUM = 0.9  # of Muon


def optimizer_of(name: OptimizerName, learner: Learner, lr: float) -> Optimizer:
    """The optimiser of this name over all that a learner learns."""
    parameters = [parameter for _, parameter in learner.named_parameters()]
    if name == "adam":
        return adam(parameters, lr)
    return Muon(parameters, lr, hidden_weights(learner))


def adam(parameters: Iterable[nn.Parameter], lr: float) -> Adam:
    """Adam, whose step is one kernel on a GPU."""
    made = Adam(parameters, lr)
    for group in made.param_groups:
        # Not by the constructor: what it is given counts as a setting of the run.
        if all(p.is_cuda and p.is_floating_point() for p in group["params"]):
            group["fused"] = True
    return made


class Muon(Optimizer):
    """Muon for hidden weights, and Adam for all other parameters, with one step size.

    `torch.optim.Muon` takes matrices alone, and this one the weights of convolutions too.

    Args:
        parameters: Everything to learn.
        lr: Step size of both.
        hidden: The weights of hidden layers, of two or more dimensions, among ``parameters``.

    >>> layer = nn.Linear(3, 2)
    >>> optimizer = Muon(layer.parameters(), 1e-2, [layer.weight])
    >>> layer(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, hidden: Collection[nn.Parameter]
    ) -> None:
        super().__init__(parameters, {"lr": lr})
        numbers = {id(weight) for weight in hidden}
        every = self.param_groups[0]["params"]
        self.hidden = [p for p in every if id(p) in numbers]
        others = [p for p in every if id(p) not in numbers]
        # Not fused: loading a checkpoint would leave the numbers of its steps on the CPU.
        self.rest = Adam(others, lr) if others else None

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take a step along the gradients, which are there already."""
        lr = self.param_groups[0]["lr"]
        if self.rest is not None:
            # One state of all parameters, as a checkpoint keeps it; loading one replaces it.
            self.rest.state = self.state
            self.rest.param_groups[0]["lr"] = lr
            self.rest.step()
        alike: dict[object, list[nn.Parameter]] = {}
        for weight in self.hidden:
            if weight.grad is not None:
                kind = weight.shape, weight.dtype, weight.device
                alike.setdefault(kind, []).append(weight)
        for weights in alike.values():
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            means = [self._mean(weight) for weight in weights]
            torch._foreach_lerp_(means, gradients, 1 - MOMENTUM)
            # A step ahead of the average, as by Nesterov.
            ahead = torch._foreach_lerp(gradients, means, MOMENTUM)
            torch._foreach_add_(list[Tensor](weights), list(muon_steps(ahead)), alpha=-lr)

    def _mean(self, weight: nn.Parameter) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        mean: Tensor = state["momentum_buffer"]
        return mean
