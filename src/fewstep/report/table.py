"""Results as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fewstep.config import Config, batch_norm, score_name
from fewstep.data.episodes import Split
from fewstep.functional import Norm
from fewstep.training.evaluation import Result

SHOWN_STEPS = (0, 1, 3, 5, 10)
NAME = 9
"""Columns of a name that may be folded; less than that is no name any more."""


@dataclass(frozen=True)
class ScoreTable:
    """Scores by starting point and number of inner steps, none of them ever cut.

    On a narrow terminal names are folded, then the borders go; where a row is still too wide, its
    scores stand under one another.

    Attributes:
        config: Of the tasks.
        results: By the name of the starting point.
    """

    config: Config
    results: dict[str, Result]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        unbounded = options.update(max_width=100_000)
        name = max(console.render_str(name).cell_len for name in self.results)
        for borders in (box.SIMPLE_HEAD, None):
            table = self._table(borders)
            natural = Measurement.get(console, unbounded, table).maximum
            if natural - name + min(name, NAME) <= options.max_width:
                yield table
                return
        yield from self._lines()

    @property
    def _title(self) -> str:
        name = "mse" if score_name(self.config) == "mse" else "accuracy in %"
        return f"{name} after inner steps"

    @property
    def _steps(self) -> list[int]:
        most = min(len(result.scores) for result in self.results.values()) - 1
        return sorted({step for step in SHOWN_STEPS if step < most} | {most})

    def _table(self, borders: box.Box | None) -> Table:
        """One row a starting point, one column a number of inner steps."""
        table = Table(box=borders, title=self._title)
        table.add_column("start", overflow="fold")
        for step in self._steps:
            table.add_column(str(step), justify="right", no_wrap=True)
        for name, result in self.results.items():
            table.add_row(name, *(_cell(self.config, result, step) for step in self._steps))
        return table

    def _lines(self) -> Iterator[RenderableType]:
        """One line a score, below the name of the starting point."""
        yield self._title
        for name, result in self.results.items():
            yield Text(name, overflow="fold")
            for step in self._steps:
                yield f"{step:>4}  {_cell(self.config, result, step)}"


def _cell(config: Config, result: Result, step: int) -> str:
    score, ci95 = result.scores[step], result.ci95[step]
    if score_name(config) == "mse":
        return f"{score:.2f} ± {ci95:.2f}"
    return f"{100 * score:.1f} ± {100 * ci95:.1f}"


def protocol(config: Config, result: Result, split: Split, norm: Norm) -> str:
    """The line that belongs under every number."""
    k_shot, q_query = config.shots(split)
    ways = "" if config.data == "sinusoid" else f"{config.n_way}-way "
    return (
        f"{result.tasks} {split} tasks of {config.data}, {ways}{k_shot}-shot {q_query}-query; "
        f"mean ± 95% interval over tasks; {batch_norm(config, norm)}; one model, seed {config.seed}"
    )
