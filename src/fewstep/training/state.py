"""The state of the outer loop: what it carries from step to step, and keeps in a checkpoint."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fewstep.distributed.ranks import ranks
from fewstep.evaluation.evaluate import assign
from fewstep.functional.swapped import Params
from fewstep.learners.base import Learner
from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress, check_complete, with_prefix, without_prefix
from fewstep.training.optimizer import HOW


def start_alike(learner: Learner) -> None:
    """Give the learner of every rank the values that the first one's has."""
    if ranks().size == 1:
        return
    values = {n: t for n, t in learner.state_dict().items() if isinstance(t, Tensor)}
    given = ranks().from_first(lambda: {name: value.cpu() for name, value in values.items()})
    with torch.no_grad():
        for name, value in values.items():
            value.copy_(given[name])


class State:
    """A learner's parameters, their moving average if any, the optimiser and the progress."""

    def __init__(
        self, learner: Learner, optimizer: torch.optim.Optimizer, ema_decay: float
    ) -> None:
        self.parameters = dict(learner.named_parameters())
        self.optimizer = optimizer
        self.ema_decay = ema_decay
        self.average: Params = {}
        if ema_decay:
            self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.progress = Progress()

    @property
    def initialisation(self) -> Params:
        """The values that are validated, tested and kept as the result."""
        return self.average or {name: p.detach() for name, p in self.parameters.items()}

    def descend(self, gradient: Params, lr: float | None) -> None:
        """One step of the optimiser along an outer gradient, of this step size if it is given."""
        for name, value in gradient.items():
            parameter = self.parameters[name]
            # Fused optimisers take the memory of both in the same order (channels_last).
            alike = value.stride() == parameter.stride()
            parameter.grad = value if alike else torch.empty_like(parameter).copy_(value)
        if lr is not None:
            self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()

    def average_in(self) -> None:
        """Move the average towards the parameters; early on faster than ``ema_decay`` would."""
        if self.average:
            done = self.progress.step + 1
            decay = min(self.ema_decay, done / (done + 9))
            move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            move(list(self.average.values()), [self.parameters[n] for n in self.average], done)

    def save(self, path: Path) -> None:
        """Write everything that going on needs."""
        tensors, settings = self._averaged_and_learned(), dict[str, Any]()
        packed = self.optimizer.state_dict()
        for name, number in self._numbers(packed).items():
            kept = packed["state"].get(number, {})
            of_name = {k: v for k, v in kept.items() if isinstance(v, Tensor)}
            tensors |= with_prefix(f"{self._kind}.{name}", of_name)
            settings[name] = {k: v for k, v in kept.items() if _is_plain(v)}
        groups = [{k: v for k, v in g.items() if _is_plain(v)} for g in packed["param_groups"]]
        told = {"groups": groups, "state": {n: kept for n, kept in settings.items() if kept}}
        self.progress.optimizer = told
        checkpoint.save(path, tensors, self.progress)

    def load(self, path: Path) -> None:
        """Go on from where `save` left off; the file may be of another network."""
        self.put(path, *checkpoint.load(path))

    def put(self, path: Path, tensors: Params, progress: Progress) -> None:
        """Go on from the tensors and the progress of a checkpoint."""
        self.progress = progress
        of_us = {n: t for n, t in tensors.items() if n.startswith(("learned.", "average."))}
        expected = self._averaged_and_learned()
        # Of other optimisers it is not known which tensors they keep.
        of_adam = self._kind == "adam"
        check_complete(tensors if of_adam else of_us, expected | self._adam(), path)
        assign(self.parameters, without_prefix("learned", tensors))
        assign(self.average, without_prefix("average", tensors))
        packed, told = self.optimizer.state_dict(), self.progress.optimizer
        for name, number in self._numbers(packed).items():
            kept = without_prefix(f"{self._kind}.{name}", tensors)
            kept |= told.get("state", {}).get(name, {})
            if kept:
                packed["state"][number] = kept
        for group, saved in zip(packed["param_groups"], told.get("groups", ()), strict=False):
            # JSON has lists alone.
            told_of = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
            # The checkpoint may be of another device.
            group |= {k: v for k, v in told_of.items() if k not in HOW}
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

    def _averaged_and_learned(self) -> Params:
        learned = with_prefix("learned", dict(self.parameters))
        return learned | with_prefix("average", self.average)

    def _adam(self) -> Params:
        """Tensors such as Adam keeps after its first step; none for another optimiser."""
        if self._kind != "adam":
            return {}
        moments = ["exp_avg", "exp_avg_sq"]
        moments += ["max_exp_avg_sq"] if self.optimizer.defaults["amsgrad"] else []
        kept: Params = {}
        for name in self._numbers(self.optimizer.state_dict()):
            parameter = self.parameters.get(name)
            if parameter is not None and parameter.requires_grad:
                of_name = {"step": torch.tensor(0.0), **dict.fromkeys(moments, parameter)}
                kept |= with_prefix(f"adam.{name}", of_name)
        return kept


def _is_plain(value: object) -> bool:
    """Whether JSON gives a value back as it was, but for tuples."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)
