"""Results as a table for the terminal."""

from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fewstep.choices import Split
from fewstep.config.schema import Config, batch_norm
from fewstep.evaluation.evaluate import Results
from fewstep.evaluation.numbers import averaged, in_percent, rows_up_to

IN_WORDS = {"mse": "mean squared error", "rmse": "root mean squared error"}
"""Metrics whose names are no words."""
SHOWN_STEPS = (0, 1, 3, 5, 10)
NAME = 9  # columns of a name that may be folded; less than that is no name any more
WORD = len("transductive,")  # columns of a word that is not broken


class ScoreTable:
    """Scores by starting point and number of inner steps, none of them ever cut.

    On a narrow terminal names are folded, then the borders go; where a row is still too wide, its
    scores stand under one another. The results come by the name of the starting point.
    """

    def __init__(self, results: dict[str, Results]) -> None:
        every = [result for of_norms in results.values() for result in of_norms.values()]
        most = min(len(result.loss.mean) for result in every) - 1
        self._steps = sorted({step for step in SHOWN_STEPS if step < most} | {most})
        metrics = list(every[0].metrics)
        names = [f"{name} in %" if name == "accuracy" else name for name in metrics]
        self._title = f"{', '.join(names)} after inner steps"
        self._rows = []  # a name and its cells for each starting point, norm and metric
        for start, of_norms in results.items():
            for norm, result in of_norms.items():
                for metric in metrics:
                    words = [start, *([norm] if len(of_norms) > 1 else [])]
                    words += [metric] if len(metrics) > 1 else []
                    means = result.metrics[metric]
                    # The sign of percent stands in the title.
                    cells = [means.shown(metric, s).replace("%", "") for s in self._steps]
                    self._rows.append((", ".join(words), cells))

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


def protocol(config: Config, results: Results, split: Split) -> str:
    """The line that belongs under every number."""
    result = next(iter(results.values()))
    k_shot, q_query = config.shots(split)
    if config.table:
        # The classes are those of the target, the same in each task.
        size = f"{result.draws} draws of {k_shot} support and {rows_up_to(q_query)}"
    else:
        ways = f"{config.ways(split)}-way " if config.kind == "classification" else ""
        size = f"{ways}{k_shot}-shot {q_query}-query"
    return (
        f"{result.tasks} {split} tasks of {config.data_name}, {size}; "
        f"{averaged(next(iter(result.metrics)))}; {batch_norm(config, *results)}; one model, seed "
        f"{config.seed}"
    )


def calibration_lines(results: Results) -> list[str]:
    """A line a norm on how far its probabilities can be believed, and one of the threshold."""
    found = {norm: r.calibration for norm, r in results.items() if r.calibration}
    lines = []
    for norm, one in found.items():
        which = f", {norm}" if len(results) > 1 else ""
        points = 100 * abs(one.overconfidence)
        sure = "too sure" if one.overconfidence > 0 else "not sure enough"
        told = one.told(f" ({points:.1f} points {sure})")
        lines.append(f"calibration{which}: expected error {told}; {one.predictions:,} predictions")
    for threshold in (one.threshold for one in found.values() if one.threshold):
        lines.append(
            f"none of these: below a probability of {in_percent(threshold.threshold)}, which "
            f"refuses {threshold.absent_refused:.0%} of absent classes and keeps "
            f"{threshold.known_kept:.0%} of the others in validation tasks"
        )
    return lines
