"""Results as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fewstep.config.schema import Config, batch_norm
from fewstep.data.source import Split
from fewstep.evaluation.evaluate import Means, Results

SHOWN_STEPS = (0, 1, 3, 5, 10)
NAME = 9
"""Columns of a name that may be folded; less than that is no name any more."""
WORD = len("transductive,")
"""Columns of a word that is not broken; the name of a run may be far longer."""


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
    results: dict[str, Results]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        unbounded = options.update(max_width=100_000)
        names = [name for name, _ in self._rows]
        name = max(console.render_str(name).cell_len for name in names)
        word = max(console.render_str(word).cell_len for name in names for word in name.split())
        least = min(name, max(NAME, min(word, WORD)))
        for borders in (box.SIMPLE_HEAD, None):
            table = self._table(borders)
            natural = Measurement.get(console, unbounded, table).maximum
            if natural - name + least <= options.max_width:
                yield table
                return
        yield from self._lines(console)

    @property
    def _title(self) -> str:
        units = [f"{name} in {unit(name)}" if unit(name) else name for name in self._metrics]
        return f"{', '.join(units)} after inner steps"

    @property
    def _metrics(self) -> list[str]:
        first = next(iter(self.results.values()))
        return list(next(iter(first.values())).metrics)

    @property
    def _rows(self) -> list[tuple[str, list[str]]]:
        """A name and its cells for each starting point, norm and metric."""
        rows = []
        for start, results in self.results.items():
            for norm, result in results.items():
                for metric in self._metrics:
                    words = [start, *([norm] if len(results) > 1 else [])]
                    words += [metric] if len(self._metrics) > 1 else []
                    cells = [_cell(metric, result.metrics[metric], step) for step in self._steps]
                    rows.append((", ".join(words), cells))
        return rows

    @property
    def _steps(self) -> list[int]:
        lengths = (len(r.loss.mean) for results in self.results.values() for r in results.values())
        most = min(lengths) - 1
        return sorted({step for step in SHOWN_STEPS if step < most} | {most})

    def _table(self, borders: box.Box | None) -> Table:
        """One row a starting point, one column a number of inner steps."""
        table = Table(box=borders, title=self._title)
        table.add_column("start", overflow="fold")
        for step in self._steps:
            table.add_column(str(step), justify="right", no_wrap=True)
        for name, cells in self._rows:
            table.add_row(name, *cells)
        return table

    def _lines(self, console: Console) -> Iterator[RenderableType]:
        """One line a score, below the name of the starting point."""
        yield self._title
        for name, cells in self._rows:
            yield Text(name, overflow="fold")
            for step, cell in zip(self._steps, cells, strict=True):
                line = console.render_str(f"{step:>4}  {cell}", overflow="ignore")
                line.no_wrap = True
                yield line


def _cell(metric: str, means: Means, step: int) -> str:
    mean, ci95 = means.mean[step], means.ci95[step]
    # A single task has no interval.
    half = f" ± {number(metric, ci95)}" if math.isfinite(ci95) else ""
    return f"{number(metric, mean)}{half}"


def number(metric: str, value: float) -> str:
    """A metric as text; an accuracy in percent, whose sign the unit has."""
    return f"{100 * value:.1f}" if metric == "accuracy" else f"{value:.2f}"


def unit(metric: str) -> str:
    """The sign behind the number of a metric."""
    return "%" if metric == "accuracy" else ""


def protocol(config: Config, results: Results, split: Split) -> str:
    """The line that belongs under every number."""
    result = next(iter(results.values()))
    k_shot, q_query = config.shots(split)
    ways = f"{config.n_way}-way " if config.data_set.kind == "classification" else ""
    return (
        f"{result.tasks} {split} tasks of {config.data}, {ways}{k_shot}-shot {q_query}-query; "
        f"mean ± 95% interval over tasks; {batch_norm(config, *results)}; one model, "
        f"seed {config.seed}"
    )
