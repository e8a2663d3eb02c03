"""The rivals of a table's tasks."""

import numpy as np

from fewstep.data import Table
from fewstep.evaluation.rivals.drawn import draw, training_rows
from fewstep.evaluation.rivals.of_tables import (
    DESCRIBED,
    LOGISTIC,
    MAJORITY,
    MEAN,
    MIXED,
    RIDGE,
    rivals_of,
)
from tests.tables import lines


def errors(frame, **names):
    """The mean error of each rival with 5 rows."""
    train, validation, test = Table(frame, **names).split(0.6, 0.2, 0.2, seed=0)
    tasks = [part.tasks(k_shot=5, q_query=9) for part in (train, validation, test)]
    rivals = rivals_of(tasks[0].spec.kind, *training_rows(tasks[0]))
    known, asked = draw(tasks[1], 5, 12), draw(tasks[2], 5, 12)
    found = {}
    for name, choose in rivals.items():
        assert name in DESCRIBED
        told, rival = choose(known.episodes)
        assert isinstance(told, str)
        off = [
            np.abs(rival(e.support_x, e.support_y, e.query_x) - e.query_y) for e in asked.episodes
        ]
        found[name] = np.concatenate(off).mean()
    return found


def test_of_numbers():
    found = errors(lines(40), task="site", target="level")
    assert [*found] == [MIXED, RIDGE, MEAN]
    assert max(found[MIXED], found[RIDGE]) < 0.5 * found[MEAN]


def test_what_varies_within_tasks_is_counted():
    train, validation, _ = Table(lines(40), task="site", target="level").split(
        0.6, 0.2, 0.2, seed=0
    )
    tasks = [part.tasks(k_shot=5, q_query=9) for part in (train, validation)]
    rivals = rivals_of(tasks[0].spec.kind, *training_rows(tasks[0]))
    told, _ = rivals[MIXED](draw(tasks[1], 5, 12).episodes)
    assert told == "one intercept and 1 slope for each task"


def test_of_classes():
    frame = lines(40)
    frame["level"] = np.where(frame["level"] > 100, "high", "low")
    found = errors(frame, task="site", target="level")
    assert [*found] == [LOGISTIC, MAJORITY]
    assert found[LOGISTIC] < found[MAJORITY]
