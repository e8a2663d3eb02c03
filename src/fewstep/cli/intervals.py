"""The intervals of a table's predictions, measured in the final test of its run."""

import math
from collections.abc import Mapping
from typing import Any

from fewstep.config.schema import Config
from fewstep.data.tables.tasks import TableTasks
from fewstep.evaluation.conformal import intervals
from fewstep.evaluation.figures import Covered
from fewstep.evaluation.numbers import in_percent, shown
from fewstep.evaluation.table_rivals import ROWS
from fewstep.training.interval_file import interval_as_json
from fewstep.training.runs import Run


def measured_interval(run: Run) -> dict[str, Any] | None:
    """The values of ``interval.json``; None where nothing is predicted that could have one."""
    validation, test = run.tasks["val"], run.tasks["test"]
    if run.config.kind != "regression" or not isinstance(validation, TableTasks):
        return None
    assert isinstance(test, TableTasks)
    config, steps = run.config, run.config.test_inner_steps
    rows = {*ROWS, config.shots("test")[0]}
    found = intervals(run.learner, steps, validation, test, config.test_tasks, rows)
    return interval_as_json(found, steps) if found else None


def covered(run: Run, told: Mapping[str, Any]) -> Covered | None:
    """How often the interval holds with the rows of the run's test, for the diagnosis."""
    rows, validation = run.config.shots("test")[0], run.tasks["val"]
    share = told["coverage"].get(str(rows))
    if share is None or not isinstance(validation, TableTasks):
        return None
    # Of one test task there is no interval.
    ci95 = told["coverage_ci95"].get(str(rows))
    return Covered(rows, share, math.nan if ci95 is None else ci95, len(validation.names))


def interval_lines(config: Config, told: Mapping[str, Any] | None) -> list[str]:
    """A line on how wide the interval is for the rows of the run's test, and how often it holds."""
    rows = str(config.shots("test")[0])
    if told is None or rows not in told["half_widths"]:
        return []
    half, share = told["half_widths"][rows], told["coverage"][rows]
    of_rows = "1 row" if rows == "1" else f"{rows} rows"
    inside = f"{in_percent(share)} in {told['tasks']} test tasks"
    return [
        f"interval: with {of_rows} of a task, {told['level']:.0%} of {config.target} in validation "
        f"tasks is within ± {shown('rmse', half)} of its prediction, and {inside}"
    ]
