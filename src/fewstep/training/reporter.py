"""Reporters: who is told how far a training is."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fewstep.errors import InputError
from fewstep.evaluation.evaluate import Result
from fewstep.evaluation.numbers import shown

Figures = dict[str, float]  # of one outer step (``train/...``) or validation (``val/...``), by name
Callback = Callable[[int, Figures], object]  # of outer steps done and figures, after each


class Reporter:
    """Is told what happens in the outer loop; this one is silent.

    Attributes:
        prompt: Whether it has to be told the figures of an outer step before the next one. Else
            those of many steps come at once on a GPU, which would have to wait.
    """

    prompt: bool = False

    def start(self, step: int, steps: int) -> None:
        """Outer steps done before, and in all."""

    def say(self, line: str) -> None:
        """A line for people."""

    def advance(self) -> None:
        """One more outer step is done, whose figures may come later."""

    def step(self, step: int, figures: Figures) -> None:
        """The figures of an outer step, in order."""

    def validated(self, step: int, figures: Figures, result: Result) -> None:
        """A validation is done."""

    def stop(self) -> None:
        """Nothing more comes."""


class FitReporter(Reporter):
    """Tells a user's callbacks, and a line on a terminal or else the logger ``fewstep``."""

    def __init__(self, callbacks: Any) -> None:
        given = () if callbacks is None else callbacks
        self._callbacks = list(given if isinstance(given, Iterable) else [given])
        for callback in self._callbacks:
            fits = callable(callback) or isinstance(callback, LRScheduler)
            if not fits or isinstance(callback, ReduceLROnPlateau):
                raise InputError(
                    f"callbacks has a {type(callback).__name__}; expected functions of (step, "
                    "figures), or schedulers of torch.optim that need no metric"
                )
        # Functions may change what the next outer step does, and are called in the order given.
        self.prompt = not all(isinstance(each, LRScheduler) for each in self._callbacks)
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._steps, self._next, self._validation = 0, 0.0, ""

    def start(self, step: int, steps: int) -> None:
        """Bring schedulers to where a resumed training is."""
        self._steps = steps
        for callback in self._callbacks:
            if isinstance(callback, LRScheduler):
                _forward(callback, step)

    def say(self, line: str) -> None:
        """Write a line of its own."""
        self._write(f"{line}\n")
        if not self._shows:
            logging.getLogger("fewstep").info("%s", line)

    def advance(self) -> None:
        """Let schedulers take a step, where they are alone."""
        if not self.prompt:
            for callback in self._callbacks:
                callback.step()

    def step(self, step: int, figures: Figures) -> None:
        """Write the line anew, a few times a second, and call the callbacks."""
        if time.monotonic() > self._next:
            self._next = time.monotonic() + 0.2
            loss = shown("loss", figures["train/loss"])
            self._write(f"step {step:,}/{self._steps:,}  loss {loss}{self._validation}")
        for callback in self._callbacks if self.prompt else ():
            if isinstance(callback, LRScheduler):
                callback.step()
            else:
                callback(step, dict(figures))

    def validated(self, step: int, figures: Figures, result: Result) -> None:
        """Keep the score for the line, and call the callbacks."""
        name = next(iter(result.metrics))
        score = f"{name} {shown(name, figures['val/score'])}"
        self._validation = f"  validation {score} at step {step:,}"
        for callback in self._callbacks:
            if not isinstance(callback, LRScheduler):
                callback(step, dict(figures))

    def stop(self) -> None:
        """Clear the line."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._shows:
            # Clears what the line held before.
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _forward(scheduler: LRScheduler, steps: int) -> None:
    """Let a scheduler take the steps of an earlier process; the optimiser is there already."""
    groups = scheduler.optimizer.param_groups
    now = [{k: v for k, v in group.items() if k != "params"} for group in groups]
    with warnings.catch_warnings():
        # The optimiser has not taken those steps.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(steps):
            scheduler.step()
    for group, settings in zip(groups, now, strict=True):
        group.update(settings)
