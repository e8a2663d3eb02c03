"""The state of the outer loop: what it carries from step to step, and keeps in a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fewstep.functional.swapped import Params
from fewstep.learners.base import Learner
from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress, check_complete, with_prefix, without_prefix


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
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    progress: Progress

    @property
    def initialisation(self) -> dict[str, Tensor]:
        """The values that are validated, tested and kept as the result."""
        return self.average or {name: p.detach() for name, p in self.parameters.items()}

    def descend(self, gradient: Params, lr: float | None) -> None:
        """One step of the optimiser along an outer gradient, of this step size if it is given."""
        for name, value in gradient.items():
            self.parameters[name].grad = value
        if lr is not None:
            self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()

    def average_in(self, decay: float) -> None:
        """Move the average towards the parameters; early on faster than ``decay`` would."""
        if self.average:
            done = self.progress.step + 1
            now = min(decay, done / (done + 9))
            move = get_ema_multi_avg_fn(now)  # type: ignore[no-untyped-call]
            move(list(self.average.values()), [self.parameters[n] for n in self.average], done)

    def save(self, path: Path) -> None:
        """Write everything that going on needs."""
        tensors, settings = self._averaged_and_learned(), dict[str, Any]()
        packed = self.optimizer.state_dict()
        for name, number in self._numbers(packed).items():
            kept = packed["state"].get(number, {})
            tensors |= with_prefix(
                f"{self._kind}.{name}", {k: v for k, v in kept.items() if isinstance(v, Tensor)}
            )
            settings[name] = {k: v for k, v in kept.items() if _is_plain(v)}
        groups = [{k: v for k, v in g.items() if _is_plain(v)} for g in packed["param_groups"]]
        told = {"groups": groups, "state": {n: kept for n, kept in settings.items() if kept}}
        self.progress = replace(self.progress, optimizer=told)
        checkpoint.save(path, tensors, self.progress)

    def load(self, path: Path) -> None:
        """Go on from where `save` left off.

        Raises:
            InputError: The file is damaged, lacks something or is of another network.
        """
        tensors, self.progress = checkpoint.load(path)
        of_us = {n: t for n, t in tensors.items() if n.startswith(("learned.", "average."))}
        expected = self._averaged_and_learned()
        # Of other optimisers it is not known which tensors they keep.
        of_adam = self._kind == "adam"
        check_complete(tensors if of_adam else of_us, expected | self._adam(), path)
        checkpoint.restore(self.parameters, without_prefix("learned", tensors), path)
        for name, value in without_prefix("average", tensors).items():
            self.average[name].copy_(value)
        packed, told = self.optimizer.state_dict(), self.progress.optimizer
        for name, number in self._numbers(packed).items():
            kept = without_prefix(f"{self._kind}.{name}", tensors)
            kept |= told.get("state", {}).get(name, {})
            if kept:
                packed["state"][number] = kept
        for group, saved in zip(packed["param_groups"], told.get("groups", ()), strict=False):
            # JSON has lists alone.
            group |= {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
        self.optimizer.load_state_dict(packed)

    @property
    def _kind(self) -> str:
        return type(self.optimizer).__name__.lower()

    def _numbers(self, packed: dict[str, Any]) -> dict[str, int]:
        """The numbers that an optimiser's `state_dict` has for the parameters, by their names."""
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        numbers = {}
        for group, told in zip(self.optimizer.param_groups, packed["param_groups"], strict=True):
            for parameter, number in zip(group["params"], told["params"], strict=True):
                numbers[names.get(id(parameter), f"other.{number}")] = number
        return numbers

    def _averaged_and_learned(self) -> dict[str, Tensor]:
        return {
            **with_prefix("learned", dict(self.parameters)),
            **with_prefix("average", self.average),
        }

    def _adam(self) -> dict[str, Tensor]:
        """Tensors such as Adam keeps after its first step; none for another optimiser."""
        kept: dict[str, Tensor] = {}
        for name in self._numbers(self.optimizer.state_dict()) if self._kind == "adam" else ():
            parameter = self.parameters.get(name)
            if parameter is not None and parameter.requires_grad:
                moments = dict.fromkeys(("exp_avg", "exp_avg_sq"), parameter)
                if self.optimizer.defaults["amsgrad"]:
                    moments["max_exp_avg_sq"] = parameter
                of_name = {"step": torch.tensor(0.0), **moments}
                kept |= with_prefix(f"adam.{name}", of_name)
        return kept


def fresh_state(learner: Learner, optimizer: torch.optim.Optimizer, ema_decay: float) -> State:
    """The state before the first outer step."""
    parameters = dict(learner.named_parameters())
    average = {n: p.detach().clone() for n, p in parameters.items()} if ema_decay else {}
    return State(parameters, optimizer, average, Progress())


def _is_plain(value: object) -> bool:
    """Whether JSON gives a value back as it was, but for tuples."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)
