"""Meta-learned models and their rivals on the same unseen tasks of a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fewstep.data.tables.tasks import RootMeanSquare, TableTasks
from fewstep.evaluation.by_rows import AtRows, Scores, by_task
from fewstep.evaluation.evaluate import device_of
from fewstep.evaluation.rivals.drawn import Drawn, draw, training_rows
from fewstep.evaluation.rivals.of_tables import POOLED, TUNED, rivals_of
from fewstep.evaluation.rivals.rows import Rival, error_rate, rmse
from fewstep.evaluation.rivals.tuned import choose_tuning, with_tuning
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.whole_numbers import counted

ROWS = (1, 2, 5, 10, 20)
"""Numbers of rows of a new task that are looked at, as far as tasks have so many."""
VALIDATION_TASKS = 100
"""Validation tasks that settings of rivals are chosen on, for each number of rows, at most."""


@dataclass(frozen=True)
class Compared:
    """A meta-learned model and the inner steps that it takes on every task."""

    learner: Learner
    steps: int


def compare_by_rows(
    learners: Mapping[str, Compared],
    pooled: FineTune,
    train: TableTasks,
    validation: TableTasks,
    test: TableTasks,
    tasks: int,
    rows: Sequence[int] = ROWS,
) -> Iterator[AtRows]:
    """The scores of all models for each number of rows that a validation and a test task has.

    Args:
        learners: The meta-learned models by name.
        pooled: The pooled network, trained on the rows of the training tasks.
        train: The training tasks, to whose rows the mixed-effects model is fitted.
        validation: The tasks that settings are chosen on.
        test: The tasks that count.
        tasks: How many of them are drawn; the means are over distinct ones.
        rows: Numbers of support rows.
    """
    spec = test.spec
    rivals = rivals_of(spec.kind, *training_rows(train))
    for number in rows:
        known, asked = (
            draw(validation, number, min(tasks, VALIDATION_TASKS)),
            draw(test, number, tasks),
        )
        if known is None or asked is None:
            continue
        tuned = choose_tuning(
            pooled, known.batches, known.names, of_classes=spec.kind == "classification"
        )
        steps = counted(tuned.inner_steps, "step")
        told = f"{steps} of {tuned.inner_lr:g}"
        networks = {
            **learners,
            POOLED: Compared(with_tuning(pooled, tuned.inner_lr, 0), 0),
            TUNED: Compared(tuned, tuned.inner_steps),
        }
        chosen = {TUNED: told}
        drawn = {name: learner_scores(one, asked) for name, one in networks.items()}
        for name, choose in rivals.items():
            chosen[name], rival = choose(known.episodes)
            drawn[name] = rival_scores(rival, asked, test)
        root = spec.kind == "regression"
        scores = {name: by_task(of, asked.names, root=root) for name, of in drawn.items()}
        lost = {name: int((~np.isfinite(of)).sum()) for name, of in drawn.items()}
        diverged = {name: many for name, many in lost.items() if many}
        yield AtRows(number, scores, spec.larger_is_better, chosen, diverged)


def learner_scores(one: Compared, drawn: Drawn) -> Scores:
    """The score of each draw of a task after the last inner step."""
    device = device_of(one.learner)
    found = [one.learner.evaluate(batch.to(device), one.steps) for batch in drawn.batches]
    scores: Scores = torch.cat([part.scores[:, -1] for part in found]).double().cpu().numpy()
    return scores


def rival_scores(rival: Rival, drawn: Drawn, source: TableTasks) -> Scores:
    """The score of each draw of a task: the error in the unit of the target, or the accuracy."""
    of_classes = source.spec.kind == "classification"
    scores = []
    for x, y, query_x, query_y, _ in drawn.episodes:
        found = rival(x, y, query_x)
        scores.append(1 - error_rate(found, query_y) if of_classes else rmse(found, query_y))
    return (1.0 if of_classes else unit_of(source)) * np.array(scores)


def unit_of(source: TableTasks) -> float:
    """Units of the target in one of the standardised target."""
    (error,) = (source.spec.metrics or {}).values()
    assert isinstance(error, RootMeanSquare)
    return error.scale
