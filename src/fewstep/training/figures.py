"""Figures of outer steps. On a GPU they stay there until many are read at once.

To read one makes the host wait for the device, and then the device for the host.
"""

import math
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fewstep.execution.executor import MetaGradient
from fewstep.training.reporter import Figures

FIGURES_EVERY = 50
"""Outer steps whose figures a GPU gives at once."""
READ_AFTER = 1.0
"""Seconds after which figures are read even if fewer outer steps are done."""


def figures_every(device: torch.device, prompt: bool) -> int:
    """After how many outer steps figures are read: each where somebody needs them then."""
    return 1 if device.type != "cuda" or prompt else FIGURES_EVERY


class NotFiniteError(Exception):
    """A loss or a gradient is not finite; the message says which and where."""


class StepFigures(NamedTuple):
    """The figures of an outer step.

    Attributes:
        step: Outer steps done with it.
        numbers: Of its tasks.
        values: ``[3 + tasks]``: the mean loss, the mean of the first metric, the length of the
            gradient, and the loss of each task, in memory that nothing else uses.
    """

    step: int
    numbers: Sequence[int]
    values: Tensor


def step_figures(step: int, numbers: Sequence[int], found: MetaGradient) -> StepFigures:
    """The figures of an outer step that is done when so many are; nothing waits for them."""
    losses, scores = found.query.losses, found.query.scores
    means = [losses.mean(), scores.mean(), _norm(found.gradient)]
    return StepFigures(step, numbers, torch.cat([torch.stack(means), losses]))


class Read(NamedTuple):
    """Figures that were read.

    Attributes:
        told: Outer steps done and the figures, in order.
        bad: What is not finite first, if anything is, in the step after those.
    """

    told: list[tuple[int, Figures]]
    bad: NotFiniteError | None = None


class Waiting:
    """Figures that are on their way to the host, so many outer steps at once.

    Args:
        every: Outer steps. With 1 they are read at once. With more, those of ``every`` steps are
            read when as many more have begun, so that the device has something to do meanwhile.
        seconds: After which those of fewer are.
    """

    def __init__(self, every: int, seconds: float = math.inf) -> None:
        self.every, self._seconds = every, seconds
        self._rows: list[StepFigures] = []
        self._sent: _Sent | None = None
        self._began = 0.0

    def add(self, found: StepFigures) -> Read:
        """Take the figures of one more outer step, and give those that are to be told now."""
        if not self._rows:
            self._began = time.monotonic()
        self._rows.append(found)
        if self.every == 1:
            return self.rest()
        if len(self._rows) < self.every and time.monotonic() - self._began < self._seconds:
            return Read([])
        before, self._sent, self._rows = self._sent, _Sent(self._rows), []
        read = before.read() if before else Read([])
        if read.bad:
            # Of the steps behind it there is nothing to tell.
            self._sent = None
        return read

    def rest(self) -> Read:
        """Give all that were not told."""
        parts = [self._sent] if self._sent else []
        parts += [_Sent(self._rows)] if self._rows else []
        self._sent, self._rows = None, []
        told = []
        for part in parts:
            read = part.read()
            told += read.told
            if read.bad:
                return Read(told, read.bad)
        return Read(told)


class _Sent:
    """Figures whose way to the host has begun."""

    def __init__(self, rows: list[StepFigures]) -> None:
        self._rows = rows
        values = torch.cat([row.values for row in rows])
        self._there: Any = None
        if values.is_cuda:
            # Not that of the current device, which may be another.
            stream = torch.cuda.current_stream(values.device)
            values = values.to("cpu", non_blocking=True)
            self._there = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._there.record(stream)
        self._values = values

    def read(self) -> Read:
        """Wait until they are there."""
        if self._there is not None:
            self._there.synchronize()
        values = iter(self._values.tolist())
        told: list[tuple[int, Figures]] = []
        for step, numbers, of_row in self._rows:
            loss, score, norm, *losses = islice(values, len(of_row))
            what = _not_finite(losses, numbers, norm)
            if what:
                return Read(told, NotFiniteError(f"{what} of outer step {step}"))
            named = {"train/loss": loss, "train/score": score, "train/gradient_norm": norm}
            told.append((step, named))
        return Read(told)


def _not_finite(losses: Sequence[float], numbers: Sequence[int], norm: float) -> str | None:
    """The first value that is not finite and its task, in words; None where all is."""
    for number, loss in zip(numbers, losses, strict=True):
        if not math.isfinite(loss):
            return f"the loss is {loss} in task {number}"
    if not math.isfinite(norm):
        return f"the gradient is {norm} in tasks {numbers[0]} to {numbers[-1]}"
    return None


def _norm(gradient: Mapping[str, Tensor]) -> Tensor:
    """The length of a gradient, a scalar where it was computed."""
    parts = list(gradient.values())
    lengths = torch._foreach_norm(parts) if parts[0].is_cuda else [part.norm() for part in parts]
    norm: Tensor = torch.stack(list(lengths)).norm()
    return norm
