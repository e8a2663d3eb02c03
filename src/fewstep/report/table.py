"""Results as a table for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from fewstep.config import Config, batch_norm, score_name
from fewstep.data.episodes import Split
from fewstep.functional import Norm
from fewstep.training.evaluation import Result

SHOWN_STEPS = (0, 1, 3, 5, 10)


def score_table(config: Config, results: dict[str, Result]) -> Table:
    """One row a starting point, one column a number of inner steps.

    Args:
        config: Of the tasks.
        results: By the name of the starting point.
    """
    name = "mse" if score_name(config) == "mse" else "accuracy in %"
    table = Table(box=box.SIMPLE_HEAD, title=f"{name} after inner steps")
    table.add_column("start")
    most = min(len(result.scores) for result in results.values()) - 1
    columns = sorted({step for step in SHOWN_STEPS if step < most} | {most})
    for step in columns:
        table.add_column(str(step), justify="right")
    for name, result in results.items():
        cells = [_cell(config, result.scores[s], result.ci95[s]) for s in columns]
        table.add_row(name, *cells)
    return table


def _cell(config: Config, score: float, ci95: float) -> str:
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
