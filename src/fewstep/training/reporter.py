"""Reporters: who is told how far a training is."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fewstep.errors import InputError
from fewstep.evaluation.evaluate import Result
from fewstep.evaluation.numbers import shown

Figures = dict[str, float]
"""Figures of one outer step (``train/...``) or of one validation (``val/...``), by name."""
Callback = Callable[[int, Figures], object]
"""Called with the outer steps done and figures: after each outer step and after each validation."""


class Reporter:
    """Is told what happens in the outer loop, as it happens; this one is silent."""

    def start(self, step: int, steps: int) -> None:
        """Outer steps done before, and in all."""

    def say(self, line: str) -> None:
        """A line for people."""

    def step(self, step: int, figures: Figures) -> None:
        """One more outer step is done."""

    def validated(self, step: int, figures: Figures, result: Result) -> None:
        """A validation is done."""

    def stop(self) -> None:
        """Nothing more comes."""


class Call(Reporter):
    """Hands the figures to a user's function."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def step(self, step: int, figures: Figures) -> None:
        """Hand them on."""
        self._callback(step, dict(figures))

    def validated(self, step: int, figures: Figures, result: Result) -> None:  # noqa: ARG002
        """Hand them on."""
        self._callback(step, dict(figures))


class Schedule(Reporter):
    """Lets a scheduler take a step after each outer step."""

    def __init__(self, scheduler: LRScheduler) -> None:
        self._scheduler = scheduler

    def start(self, step: int, steps: int) -> None:  # noqa: ARG002
        """Bring it to where a resumed training is, whose optimiser is there already."""
        groups = self._scheduler.optimizer.param_groups
        now = [{k: v for k, v in group.items() if k != "params"} for group in groups]
        with warnings.catch_warnings():
            # The optimiser has not taken the steps of an earlier process.
            warnings.simplefilter("ignore", UserWarning)
            for _ in range(step):
                self._scheduler.step()
        for group, settings in zip(groups, now, strict=True):
            group.update(settings)

    def step(self, step: int, figures: Figures) -> None:  # noqa: ARG002
        """Take a step."""
        self._scheduler.step()


def reporter_of(callback: object) -> Reporter:
    """The reporter of a user's function or scheduler.

    Raises:
        InputError: It is neither.
    """
    if isinstance(callback, LRScheduler) and not isinstance(callback, ReduceLROnPlateau):
        return Schedule(callback)
    if not callable(callback):
        raise InputError(
            f"callbacks has a {type(callback).__name__}; expected functions of (step, figures), or "
            "schedulers of torch.optim that need no metric"
        )
    return Call(callback)


class ProgressLine(Reporter):
    """One line on a terminal that is written over; elsewhere the logger ``fewstep`` is told."""

    def __init__(self) -> None:
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._steps, self._next, self._validation = 0, 0.0, ""

    def start(self, step: int, steps: int) -> None:  # noqa: ARG002
        """Keep how many steps there are."""
        self._steps = steps

    def say(self, line: str) -> None:
        """Write a line of its own."""
        self._write(f"{line}\n")
        if not self._shows:
            logging.getLogger("fewstep").info("%s", line)

    def step(self, step: int, figures: Figures) -> None:
        """Write the line anew, a few times a second."""
        if time.monotonic() > self._next:
            self._next = time.monotonic() + 0.2
            loss = shown("loss", figures["train/loss"])
            self._write(f"step {step:,}/{self._steps:,}  loss {loss}{self._validation}")

    def validated(self, step: int, figures: Figures, result: Result) -> None:
        """Keep the score, for the line."""
        name = next(iter(result.metrics))
        score = shown(name, figures["val/score"])
        self._validation = f"  validation {name} {score} at step {step:,}"

    def stop(self) -> None:
        """Clear the line."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._shows:
            # Clears what the line held before.
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
