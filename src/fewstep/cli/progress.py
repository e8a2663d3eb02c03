"""Progress of a run on a terminal."""

from __future__ import annotations

import math
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fewstep.config.schema import Config, batch_norm, score_name
from fewstep.evaluation.evaluate import Result
from fewstep.training.reporter import Figures, Reporter

SMOOTHING = 0.95


class ProgressBar(Reporter):
    """A live bar on a terminal; elsewhere one line for each validation.

    Args:
        console: Where to show it.
        config: Of the run.
    """

    def __init__(self, console: Console, config: Config) -> None:
        self.console = console
        self.score_name = score_name(config)
        self.meta_batch = config.meta_batch
        self.norm = batch_norm(config, config.norm)
        self.loss = self.score = math.nan
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=None, figures="")

    def start(self, step: int, steps: int) -> None:
        """Show the bar."""
        self.first, self.began = step, time.monotonic()
        self.bar.update(self.task, completed=step, total=steps)
        self.bar.start()

    def stop(self) -> None:
        """Leave the bar as it is."""
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
        score = f"{self.score_name} {self._shown(self.score)}"
        shown = f"loss {self.loss:.3f}  {score}  {rate:.0f} tasks/s"
        self.bar.update(self.task, completed=step, figures=shown)

    def validated(self, step: int, figures: Figures, result: Result) -> None:
        """A line of a validation."""
        ci95 = figures["val/ci95"]
        # A single task has no interval.
        half = f" ± {self._shown(ci95)}" if math.isfinite(ci95) else ""
        self.say(
            f"step {step:>6,}  training {self.score_name} {self._shown(self.score)}  "
            f"validation {self.score_name} {self._shown(figures['val/score'])}{half} after "
            f"{len(result.loss.mean) - 1} inner steps, {self.norm}"
        )

    def _shown(self, value: float) -> str:
        return f"{value:.1%}" if self.score_name == "accuracy" else f"{value:.3f}"


def _smooth(average: float, value: float) -> float:
    return value if math.isnan(average) else SMOOTHING * average + (1 - SMOOTHING) * value
