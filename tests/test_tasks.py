"""TaskBatch refuses tensors that do not belong together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fewstep import InputError, TaskBatch
from tests.factory import make_tasks


def tensors(tasks=2, support=3, query=4, shape=(5,)):
    return {
        "support_x": torch.zeros(tasks, support, *shape),
        "support_y": torch.zeros(tasks, support, dtype=torch.int64),
        "query_x": torch.zeros(tasks, query, *shape),
        "query_y": torch.zeros(tasks, query, dtype=torch.int64),
    }


@given(
    tasks=st.integers(1, 5),
    support=st.integers(1, 4),
    query=st.integers(1, 4),
    shape=st.lists(st.integers(1, 3), max_size=3),
)
def test_any_number_of_tasks_and_examples(tasks, support, query, shape):
    batch = TaskBatch(**tensors(tasks, support, query, shape))
    assert len(batch) == tasks
    assert len(batch[: tasks - 1 or 1]) == (tasks - 1 or 1)
    assert batch.to("cpu").query_x.shape == (tasks, query, *shape)


def test_single_tasks_are_stacked():
    tasks = TaskBatch(**tensors())
    again = TaskBatch.stack(tasks.task(number) for number in range(2))
    assert all(map(torch.equal, again.tensors, tasks.tensors))
    x, y = torch.zeros(3, 5), torch.zeros(3)
    swapped = TaskBatch.stack([({"a": x, "b": y}, y) * 2, ({"b": y, "a": x}, y) * 2])
    assert swapped.support_x["a"].shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 5)), "support_x of task 1 is a ndarray; expected a torch.Tensor"),
        ([[1.0]], "support_x of task 1 is a list; expected a torch.Tensor"),
        (torch.zeros(3, 6), r"support_x of task 1 is \[3, 6\] and of task 0 \[3, 5\]; expected"),
        ({"a": torch.zeros(3, 5)}, r"task 1 has support_x\['a'\] and task 0 support_x; expected"),
        ((torch.zeros(3, 5),) * 2, r"task 1 has support_x\[0\], support_x\[1\] and task 0 supp"),
        ((), "task 1 has no support_x and task 0 support_x; expected the same parts"),
    ],
    ids=["array", "list", "shape", "dict", "tuple", "empty"],
)
def test_a_task_of_other_parts_is_named(x, message):
    good = torch.zeros(3, 5), torch.zeros(3), torch.zeros(3, 5), torch.zeros(3)
    with pytest.raises(InputError, match=message):
        TaskBatch.stack([good, (x, *good[1:])])


def test_a_part_that_only_one_task_has_is_not_dropped():
    x, y = torch.zeros(3, 5), torch.zeros(3)
    for first, second in (({"a": x}, {"a": x, "b": x}), ((x, x), (x,))):
        with pytest.raises(InputError, match="expected the same parts in every task"):
            TaskBatch.stack([(first, y) * 2, (second, y) * 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"support_x": [[1.0]]}, "support_x is a list; expected a torch.Tensor"),
        ({"query_y": torch.zeros(2)}, r"query_y is \[2\]; expected \[tasks, examples, ...\]"),
        ({"query_x": torch.zeros(2, 0, 5)}, r"query_x is \[2, 0, 5\]; expected"),
        ({"query_x": torch.zeros(3, 4, 5)}, "query_x has 3 tasks and support_x 2"),
        ({"support_y": torch.zeros(2, 7)}, r"support_x is \[2, 3, 5\] and support_y \[2, 7\]"),
        ({"query_x": torch.zeros(2, 4, 6)}, r"one support example is \[5\] and one query .* \[6\]"),
        ({"query_y": torch.zeros(2, 4, 6)}, r"one support target is \[\] and one query .* \[6\]"),
        ({"query_x": torch.zeros(2, 4, 5).double()}, "support_x is torch.float32 and query_x"),
        ({"query_y": torch.zeros(2, 4)}, "support_y is torch.int64 and query_y torch.float32"),
        ({"classes": torch.zeros(3, 5)}, "classes has 3 tasks and support_x 2"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(InputError, match=message):
        TaskBatch(**tensors() | change)


def test_one_task_of_a_batch():
    tasks = make_tasks(dtype=torch.float32)
    for number in (0, -1):
        with pytest.raises(InputError, match=r"expected a slice, as in tasks\[0:1\]"):
            tasks[number]
    support_x, support_y, _, query_y = tasks.task(1)
    assert torch.equal(support_x, tasks.support_x[1])
    assert support_y.shape == query_y.shape == (6,)


class Data:
    """A class of inputs like that of torch_geometric."""


def test_inputs_that_are_no_tensors():
    y = make_tasks().support_y
    with pytest.raises(InputError, match=r"support_x is a Data; expected a torch.Tensor, or"):
        TaskBatch(Data(), y, Data(), y)
    with pytest.raises(InputError, match=r"support_x\['x'\] is a list; expected"):
        TaskBatch({"x": [1]}, y, {"x": [1]}, y)
    with pytest.raises(InputError, match=r"support_x is empty"):
        TaskBatch({}, y, {}, y)
    with pytest.raises(InputError, match=r"query_x is empty"):
        TaskBatch({"x": y}, y, {}, y)


def test_a_batch_shows_its_shapes():
    x, y, *_ = make_tasks(dtype=torch.float32).tensors
    assert repr(make_tasks(dtype=torch.float32)) == (
        "TaskBatch(3 tasks, support_x=[3, 6, 4], support_y=[3, 6], "
        "query_x=[3, 6, 4], query_y=[3, 6])"
    )
    nested = TaskBatch({"ids": x, "mask": y}, y, {"ids": x, "mask": y}, y)
    assert "support_x={'ids': [3, 6, 4], 'mask': [3, 6]}" in repr(nested)


def test_single_tasks_become_a_batch():
    x, y, *_ = make_tasks(dtype=torch.float32).tensors
    rows = [(x[i], y[i], x[i], y[i]) for i in range(3)]
    assert torch.equal(TaskBatch.stack(rows).support_x, x)
    nested = [({"a": x[i], "b": (y[i],)}, y[i], {"a": x[i], "b": (y[i],)}, y[i]) for i in range(3)]
    batch = TaskBatch.stack(nested)
    assert torch.equal(batch.query_x["b"][0], y)
    assert batch[1:].support_x["a"].shape == (2, 6, 4)
    for single, told in (
        ([], "no task is given"),
        ([rows[0][:3]], "task 0 is a tuple of 3; expected the four"),
        ([x], "task 0 is a Tensor; expected the four"),
        (
            [rows[0], (x[1, :, :3], y[1], x[1, :, :3], y[1])],
            r"support_x of task 1 is \[6, 3\] .* expected examples of the same shape",
        ),
    ):
        with pytest.raises(InputError, match=told):
            TaskBatch.stack(single)


def test_tasks_of_other_sizes_are_padded_and_come_back_alone():
    x, y, *_ = make_tasks(dtype=torch.float32).tensors
    rows = [(x[0], y[0], x[0], y[0]), (x[1, :3], y[1, :3], x[1, :5], y[1, :5])]
    batch = TaskBatch.stack(rows)
    assert batch.support_x.shape == (2, 6, 4)
    assert batch.support_sizes.tolist() == [6, 3]
    assert batch.query_sizes.tolist() == [6, 5]
    for part, expected in zip(batch.task(1), rows[1], strict=True):
        assert torch.equal(part, expected)
    (first, _), (second, alone) = batch.even_parts()
    assert (first, second) == ([0], [1])
    assert not alone.is_uneven
    assert torch.equal(alone.query_x[0], rows[1][2])
    assert batch.own_examples.sum(1).tolist() == [12, 8]
    assert batch[1:].support_sizes.tolist() == [3]


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (torch.tensor([1, 2]), r"expected int64 \[3\]"),
        (torch.ones(3), r"support_sizes is torch.float32 \[3\]"),
        (torch.tensor([0, 1, 2]), "runs from 0 to 2; expected 1 to 6"),
        (torch.tensor([6, 7, 6]), "runs from 6 to 7; expected 1 to 6"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, told):
    with pytest.raises(InputError, match=told):
        replace(make_tasks(), support_sizes=sizes)


@pytest.mark.parametrize(
    ("query_x", "told"),
    [
        (lambda x, y: x, "the support examples have .* and the query examples"),
        (lambda x, y: {"ids": x}, "the support examples have .* and the query examples"),
        (lambda x, y: {"ids": x, "mask": y.float()}, "expected the same type"),
        (lambda x, y: {"ids": x, "mask": y[:2]}, r"query_x\['mask'\] has 2 tasks"),
        (lambda x, y: {"ids": x, "mask": y[:, :2]}, r"query_x\['mask'\] is \[3, 2\] and query_y"),
    ],
)
def test_parts_that_do_not_fit(query_x, told):
    x, y, *_ = make_tasks(dtype=torch.float32).tensors
    with pytest.raises(InputError, match=told):
        TaskBatch({"ids": x, "mask": y}, y, query_x(x, y), y)
