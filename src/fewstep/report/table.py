"""Results as a table for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from fewstep.config import Config, score_name
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
    columns = [step for step in SHOWN_STEPS if step <= most]
    for step in columns:
        table.add_column(str(step), justify="right")
    for name, result in results.items():
        cells = [_cell(config, result.scores[s], result.ci95[s]) for s in columns]
        table.add_row(name, *cells)
    return table


def _cell(config: Config, score: float, ci95: float) -> str:
    if score_name(config) == "mse":
        return f"{score:.3f} ± {ci95:.3f}"
    return f"{100 * score:.1f} ± {100 * ci95:.1f}"


def protocol(config: Config, result: Result, split: Split, norm: Norm) -> str:
    """The line that belongs under every number."""
    shots = f"{config.test_k_shot or config.k_shot}-shot"
    query = f"{config.test_q_query or config.q_query}-query"
    ways = "" if config.data == "sinusoid" else f"{config.n_way}-way "
    batch_norm = "no batch norm" if config.model == "mlp" else f"{norm} batch norm"
    return (
        f"{result.tasks} {split} tasks of {config.data}, {ways}{shots} {query}; mean ± 95% "
        f"interval over tasks; {batch_norm}; one model, seed {config.seed}"
    )
