"""The optimiser of the outer loop, where the user gives none."""

from collections.abc import Iterable

from torch import nn
from torch.optim import Adam

HOW = ("foreach", "fused", "capturable")
"""Settings that say how a step is computed, which depends on the device, and not which step."""


def adam(parameters: Iterable[nn.Parameter], lr: float) -> Adam:
    """Adam, whose step is one kernel on a GPU."""
    made = Adam(parameters, lr)
    for group in made.param_groups:
        # Not by the constructor: what it is given counts as a setting of the run.
        if all(p.is_cuda and p.is_floating_point() for p in group["params"]):
            group["fused"] = True
    return made
