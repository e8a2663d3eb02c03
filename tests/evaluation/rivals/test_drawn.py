"""Tasks of a table for all that are compared."""

import numpy as np
import pytest

from fewstep.data import Table
from fewstep.evaluation.rivals import drawn as module
from fewstep.evaluation.rivals.drawn import draw, training_rows
from tests.tables import lines, numbered


@pytest.fixture(scope="module")
def source():
    return Table(numbered(3, 8, 5, 9), task="school", target="score").tasks(k_shot=2, q_query=3)


def test_arrays_hold_the_rows_of_the_batches(source):
    found = draw(source, 4, 150)
    assert [len(batch) for batch in found.batches] == [100, 50]
    assert len(found.episodes) == len(found.names) == 150
    # The smallest task has too few rows; the others come as often as one another.
    assert {name: found.names.count(name) for name in "abcd"} == {"a": 0, "b": 50, "c": 50, "d": 50}
    for number in (0, 99, 120):
        part, place = divmod(number, 100)
        x, y, query_x, query_y = found.batches[part].task(place)
        episode = found.episodes[number]
        assert np.array_equal(episode.support_x, x.double().numpy())
        assert np.array_equal(episode.support_y, y[:, 0].double().numpy())
        assert np.array_equal(episode.query_x, query_x.double().numpy())
        assert np.array_equal(episode.query_y, query_y[:, 0].double().numpy())
        assert episode.task == found.names[number]
    assert {len(e.query_y) for e in found.episodes if e.task == "c"} == {1}


def test_no_task_has_so_many_rows(source):
    assert draw(source, 9, 10) is None


def test_training_rows_are_all_rows_task_by_task(source):
    rows, numeric = training_rows(source)
    assert numeric == 1
    assert np.bincount(rows.task).tolist() == [3, 8, 5, 9]
    assert np.allclose(source.how.unscaled(rows.y), np.arange(25), atol=1e-4)
    assert np.allclose(rows.x[:, 0], rows.y)


def test_of_a_large_table_whole_tasks_are_taken(source, monkeypatch):
    monkeypatch.setattr(module, "MOST_NUMBERS", 17)
    rows, _ = training_rows(source)
    assert {*np.bincount(rows.task).tolist()} < {3, 8, 5, 9}
    assert 0 < len(rows.y) <= 17


def test_of_a_window_the_last_row_comes_first():
    frame = lines(4, 6)
    frame["hour"] = np.tile(np.arange(6), 4)
    table = Table(frame, task="site", target="level", inputs=["raw"], time="hour", window=3)
    rows, numeric = training_rows(table.tasks(k_shot=1, q_query=2))
    assert (rows.x.shape, numeric) == ((24, 3), 1)
    # The window moves on by a row.
    assert np.array_equal(rows.x[2:5, 0], rows.x[3:6, 1])
