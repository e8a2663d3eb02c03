"""What a person sees while a run goes on."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fewstep.config.schema import Config, batch_norm, score_name
from fewstep.evaluation.evaluate import Result

SMOOTHING = 0.95


class ProgressBar:
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
        self.loss: float | None = None
        self.score: float | None = None
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

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def start(self, step: int, steps: int) -> None:
        """Outer steps done before, and in all."""
        self.first, self.began = step, time.monotonic()
        self.bar.update(self.task, completed=step, total=steps)
        if step == steps:
            self.say(f"all {step:,} outer steps are done")
        elif step:
            self.say(f"going on after outer step {step:,}")

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.console.print(line, highlight=False, soft_wrap=True)

    def step(self, step: int, loss: float, score: float) -> None:
        """One more outer step is done."""
        self.loss, self.score = _smooth(self.loss, loss), _smooth(self.score, score)
        seconds = max(time.monotonic() - self.began, 1e-9)
        rate = (step - self.first) * self.meta_batch / seconds
        figures = f"loss {self.loss:.3f}  {self.score_name} {self.score:.3f}  {rate:.0f} tasks/s"
        self.bar.update(self.task, completed=step, figures=figures)

    def validated(self, step: int, result: Result) -> None:
        """A validation is done."""
        mean, ci95 = result.score.mean[-1], result.score.ci95[-1]
        # A single task has no interval.
        half = f" ± {ci95:.3f}" if math.isfinite(ci95) else ""
        line = (
            f"step {step:>6,}  training {self.score_name} {self.score or 0:.3f}  "
            f"validation {self.score_name} {mean:.3f}{half} after "
            f"{len(result.loss.mean) - 1} inner steps, {self.norm}"
        )
        self.say(line)

    def stopped_early(self, step: int, best_step: int) -> None:
        """Validation found nothing better for too long."""
        line = f"stopped early after step {step:,}: validation was best after step {best_step:,}"
        self.say(line)


def _smooth(average: float | None, value: float) -> float:
    return value if average is None else SMOOTHING * average + (1 - SMOOTHING) * value
