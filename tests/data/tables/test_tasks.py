import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fewstep
from fewstep.data import Table
from tests.tables import lines, numbered


def tasks_of(*lengths, k_shot, q_query, **given):
    table = Table(numbered(*lengths), task="school", target="score")
    return table.tasks(k_shot, q_query, **given)


def numbers(tasks, y):
    """The numbers of the rows that targets are of."""
    return tasks.how.unscaled(y).flatten().round().int().tolist()


def rows_by_name(*lengths):
    ends = np.cumsum([0, *lengths])
    return {chr(97 + i): range(ends[i], ends[i + 1]) for i in range(len(lengths))}


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6).filter(lambda of: max(of) > 3),
    k_shot=st.integers(1, 3),
    q_query=st.integers(1, 5),
    least=st.booleans(),
)
def test_a_task_has_rows_of_its_own_in_two_parts(lengths, k_shot, q_query, least):
    few = 1 if least else None
    tasks, own = tasks_of(*lengths, k_shot=k_shot, q_query=q_query, min_k_shot=few), {}
    batch, own = tasks.batch(range(12)), rows_by_name(*lengths)
    for i, name in enumerate(tasks.names_of(range(12))):
        _, support, _, query = batch.task(i)
        found = numbers(tasks, support) + numbers(tasks, query)
        assert len(set(found)) == len(found)
        assert set(found) <= set(own[name])
        assert (few or k_shot) <= len(support) <= k_shot
        assert len(query) == min(q_query, len(own[name]) - len(support))


def test_a_task_is_the_same_in_any_company():
    tasks = tasks_of(9, 5, 7, 3, k_shot=2, q_query=4)
    whole = tasks.batch(range(10))
    for order in ([7], [3, 9, 0], [5, 5]):
        batch = tasks.batch(order)
        for place, number in enumerate(order):
            for here, there in zip(batch.task(place), whole.task(number), strict=True):
                assert torch.equal(here, there)
    again = tasks_of(9, 5, 7, 3, k_shot=2, q_query=4, seed=1).batch(range(10))
    assert not torch.equal(again.support_x, whole.support_x)
    of_test = tasks_of(9, 5, 7, 3, k_shot=2, q_query=4, split="test").batch(range(10))
    assert not torch.equal(of_test.support_x, whole.support_x)


def test_every_task_comes_once_a_round():
    tasks = tasks_of(3, 4, 5, 6, 2, k_shot=1, q_query=1)
    rounds = [tasks.names_of(range(5 * r, 5 * r + 5)) for r in range(20)]
    assert all(sorted(names) == list("abcde") for names in rounds)
    assert len({tuple(names) for names in rounds}) > 5


def test_small_tasks_are_left_out_by_name():
    tasks = tasks_of(3, 1, 4, 2, k_shot=2, q_query=1)
    assert tasks.names == ["a", "c"]
    assert tasks.left_out == ["b", "d"]
    assert tasks_of(3, 1, 4, 2, k_shot=2, q_query=1, min_k_shot=1).left_out == ["b"]
    with pytest.raises(fewstep.InputError, match=r"no train task has 6 rows.*the largest has 4"):
        tasks.with_shots(5, 1)


def test_it_is_shown_in_a_line_with_what_is_left_out():
    lengths = 2, 9, 9, 3
    assert repr(tasks_of(*lengths, k_shot=3, q_query=4)) == (
        "<2 train tasks of 3 support and up to 4 query rows; "
        "left out: 2 of fewer than 4 rows: a, d>"
    )
    assert repr(tasks_of(*lengths, k_shot=3, q_query=1, min_k_shot=1, split="val")) == (
        "<4 val tasks of 1 to 3 support and up to 1 query row>"
    )
    many = tasks_of(*[1] * 20, 9, 9, k_shot=1, q_query=1)
    assert "left out: 20 of fewer than 2 rows: a, b, c and 17 more>" in repr(many)


def test_a_range_of_shots_is_of_training_alone():
    tasks = tasks_of(9, 9, 9, k_shot=4, q_query=2, min_k_shot=1)
    sizes = [len(tasks.batch([i]).support_y[0]) for i in range(200)]
    assert min(sizes) == 1
    assert max(sizes) == 4
    assert [sizes.count(n) > 30 for n in (1, 2, 3, 4)] == [True] * 4
    assert tasks.with_shots(4, 2).batch(range(50)).support_sizes is None
    for bad in (0, 5):
        with pytest.raises(fewstep.InputError, match="expected 1 to k_shot, which is 4"):
            tasks_of(9, 9, k_shot=4, q_query=2, min_k_shot=bad)


def test_windows_end_at_their_rows_and_stay_in_order():
    frame = numbered(6, 9, 2).assign(hour=[*range(6), *range(9), *range(2)])
    table = Table(frame, task="school", target="score", time="hour", window=3)
    tasks = table.tasks(2, 3)
    assert tasks.left_out == ["c"]
    assert tasks.spec.example_shape == (3, 1)
    batch = tasks.batch(range(6))
    for i in range(6):
        _, support, query_x, query = batch.task(i)
        rows = numbers(tasks, support) + numbers(tasks, query)
        assert rows == sorted(rows)
        last = numbers(tasks, query)[0]
        # Inputs are the numbers of rows as well, and the target's scale is theirs.
        assert numbers(tasks, query_x[0]) == [last - 2, last - 1, last]


def test_the_error_is_in_the_unit_of_the_target():
    table = Table(lines(), task="site", target="level")
    tasks = table.tasks(3, 5)
    name, error = next(iter(tasks.spec.metrics.items()))
    _, _, _, y = tasks.batch([0]).task(0)
    of_mean = table.preparation.unscaled(y).numpy() - table.preparation.target_mean
    assert name == tasks.spec.score == "rmse"
    assert float(error(torch.zeros_like(y), y)) == pytest.approx((of_mean**2).mean() ** 0.5)


def test_classes_are_the_same_in_every_task():
    frame = lines().assign(level=lambda f: np.where(f["level"] > 100, "high", "low"))
    tasks = Table(frame, task="site", target="level").tasks(3, 5)
    assert tasks.spec.kind == "classification"
    assert tasks.spec.outputs == 2
    assert tasks.how.classes == ("high", "low")
    batch = tasks.batch(range(8))
    assert batch.support_y.dtype == torch.int64
    for i, name in enumerate(tasks.names_of(range(8))):
        own = frame[frame["site"] == name]
        known = {
            tuple(row): level
            for row, level in zip(tasks.how.features(own).tolist(), own["level"], strict=True)
        }
        x, y, _, _ = batch.task(i)
        labels = [known[tuple(row)] for row in x.tolist()]
        assert labels == [tasks.how.classes[number] for number in y.tolist()]


def test_making_tasks_looks_at_no_row_that_it_does_not_draw():
    """Of 10,000 tasks, as of 10: prepared rows are the only thing that is touched."""
    tasks = Table(numbered(*[5] * 20), task="school", target="score").tasks(2, 2)
    touched = []

    class Watched(np.ndarray):
        def __getitem__(self, rows):
            touched.append(np.size(rows))
            return np.asarray(self)[rows]

    tasks.rows.__dict__["x"] = tasks.rows.x.view(Watched)
    tasks.batch(range(4))
    assert touched == [8, 8]


def test_a_batch_of_even_tasks_is_not_padded():
    assert tasks_of(6, 6, k_shot=2, q_query=3).batch(range(4)).is_uneven is False
    uneven = tasks_of(6, 4, k_shot=2, q_query=3).batch(range(2))
    assert sorted(uneven.query_sizes.tolist()) == [2, 3]
    assert uneven.support_sizes is None
