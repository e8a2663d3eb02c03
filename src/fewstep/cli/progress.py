"""Progress of a run on a terminal."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fewstep.config.algorithms import ALGORITHMS, steps_in_words
from fewstep.config.schema import Config, batch_norm, has_batch_norm
from fewstep.errors import on_one_line
from fewstep.evaluation.evaluate import Result
from fewstep.evaluation.numbers import shown
from fewstep.training.reporter import Figures, Reporter

SMOOTHING = 0.95


class ProgressBar(Reporter):
    """A live bar on a terminal; elsewhere one line for each validation."""

    def __init__(self, console: Console, config: Config, *, transient: bool = False) -> None:
        self.console = console
        self.score_name = config.score
        self.config, self.meta_batch = config, config.meta_batch
        # Pre-training tells all training classes apart, and validation those of a task.
        of_all = config.algorithm == "finetune" and not config.table and config.score == "accuracy"
        self.over = " over all training classes" if of_all else ""
        self.loss = self.score = math.nan
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=transient,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=None, figures="")

    def start(self, step: int, steps: int) -> None:
        """Show the bar."""
        self.first, self.began = step, time.monotonic()
        self.bar.update(self.task, completed=step, total=steps)
        self.bar.start()

    def stop(self) -> None:
        """Leave the bar as it is, or nothing of a transient one."""
        self.bar.stop()

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.console.print(line, highlight=False, soft_wrap=True)

    def step(self, step: int, figures: Figures) -> None:
        """Move the bar."""
        self.loss = _smooth(self.loss, figures["train/loss"])
        self.score = _smooth(self.score, figures["train/score"])
        seconds = max(time.monotonic() - self.began, 1e-9)
        rate = (step - self.first) * self.meta_batch / seconds
        score = f"{self.score_name} {shown(self.score_name, self.score)}"
        # A loss of standardised numbers says nothing beside the error in their unit.
        loss = "" if self.score_name == "rmse" else f"loss {shown('loss', self.loss)}  "
        told = f"{loss}{score}  {rate:.0f} tasks/s"
        self.bar.update(self.task, completed=step, figures=told)

    def validated(self, step: int, figures: Figures, result: Result) -> None:
        """A line of a validation."""
        name = self.score_name
        validation = shown(name, figures["val/score"], figures["val/ci95"])
        self.say(
            f"step {step:>6,}  training {name} {shown(name, self.score)}{self.over}  "
            f"validation {name} {validation}{after(self.config, len(result.loss.mean) - 1)}"
        )


@contextmanager
def counting(console: Console, told: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal that goes when all is done; called with how many more were done."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        # In it may be the name of a run.
        task = bar.add_task(escape(on_one_line(told)), total=total)
        yield partial(bar.advance, task)


def after(config: Config, steps: int) -> str:
    """How a score came about: nothing that goes without saying."""
    norm = f", {batch_norm(config, config.norm)}" if has_batch_norm(config) else ""
    in_steps = not ALGORITHMS[config.algorithm].closed_form
    return (f" after {steps_in_words(config.algorithm, steps)}" if in_steps else "") + norm


def _smooth(average: float, value: float) -> float:
    return value if math.isnan(average) else SMOOTHING * average + (1 - SMOOTHING) * value
