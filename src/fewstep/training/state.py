"""What the outer loop carries from step to step, and how it is kept in a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fewstep.functional.swapped import Params
from fewstep.learners.base import Learner
from fewstep.training import checkpoint
from fewstep.training.checkpoint import (
    Progress,
    check_complete,
    with_prefix,
    without_prefix,
)


@dataclass
class State:
    """The learned parameters, their average, the optimiser and the progress.

    Attributes:
        parameters: The learner's own, changed in place.
        optimizer: Over ``parameters``.
        average: Exponential moving average of ``parameters``; empty where none is kept.
        progress: How far the run is.
    """

    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Adam
    average: dict[str, Tensor]
    progress: Progress

    @property
    def judged(self) -> dict[str, Tensor]:
        """The values that are validated, tested and kept as the result."""
        return self.average or {name: p.detach() for name, p in self.parameters.items()}

    def descend(self, gradient: Params, lr: float) -> None:
        """One step of the optimiser, of this step size, along an outer gradient."""
        for name, value in gradient.items():
            self.parameters[name].grad = value
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()

    def average_in(self, decay: float) -> None:
        """Move the average towards the parameters; early on faster than ``decay`` would."""
        done = self.progress.step + 1
        weight = 1 - min(decay, done / (done + 9))
        for name, value in self.average.items():
            value.lerp_(self.parameters[name].detach(), weight)

    def save(self, path: Path) -> None:
        """Write everything that going on needs."""
        tensors = self._averaged_and_learned()
        for name, parameter in self.parameters.items():
            tensors |= with_prefix(f"adam.{name}", self.optimizer.state[parameter])
        checkpoint.save(path, tensors, self.progress)

    def load(self, path: Path) -> None:
        """Go on from where `save` left off.

        Raises:
            InputError: The file is damaged, lacks something or is of another network.
        """
        tensors, self.progress = checkpoint.load(path)
        check_complete(tensors, self._averaged_and_learned() | self._adam(), path)
        checkpoint.restore(self.parameters, without_prefix("learned", tensors), path)
        for name, value in without_prefix("average", tensors).items():
            self.average[name].copy_(value)
        for name, parameter in self.parameters.items():
            saved = without_prefix(f"adam.{name}", tensors)
            # Adam counts its steps on the CPU, wherever the parameter is.
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device)
                for key, value in saved.items()
            }

    def _averaged_and_learned(self) -> dict[str, Tensor]:
        return {
            **with_prefix("learned", dict(self.parameters)),
            **with_prefix("average", self.average),
        }

    def _adam(self) -> dict[str, Tensor]:
        """Tensors such as Adam keeps after its first step."""
        kept: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            if parameter.requires_grad:
                moments = {"step": torch.tensor(0.0), "exp_avg": parameter, "exp_avg_sq": parameter}
                kept |= with_prefix(f"adam.{name}", moments)
        return kept


def fresh_state(learner: Learner, outer_lr: float, averaging: float) -> State:
    """The state before the first outer step."""
    parameters = dict(learner.named_parameters())
    return State(
        parameters=parameters,
        optimizer=torch.optim.Adam(parameters.values(), lr=outer_lr),
        average={n: p.detach().clone() for n, p in parameters.items()} if averaging else {},
        progress=Progress(),
    )
