"""Series of a table: windows in order of time, that end at the row they are about."""

import numpy as np
import pandas as pd
import pytest
import torch

from fewstep import InputError
from fewstep.data import Table
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.columns.windows import times_of, window_rows, windows_of

HOURS = 12


def _series(shuffled=False):
    """Six sensors, whose reading tells which row of which sensor it is."""
    rows = [(f"s{s}", h, 100.0 * s + h, float(-h)) for s in range(6) for h in range(HOURS)]
    frame = pd.DataFrame(rows, columns=["sensor", "hour", "raw", "true"])
    return frame.sample(frac=1, random_state=0) if shuffled else frame


def _tasks(frame, k_shot=3, q_query=4, window=5, time="hour"):
    table = Table(frame, "sensor", "true", ["raw"], time, window)
    return table, table.tasks(k_shot=k_shot, q_query=q_query)


def _raw(table, x):
    """The readings of examples, as they stand in the table."""
    scaling = table.preparation.forms[0].scaling
    return np.rint(x[..., 0].numpy() * scaling.scale + scaling.mean).astype(int)


def _hours(table, y):
    return np.rint(-table.preparation.unscaled(y)[..., 0].numpy()).astype(int)


def test_a_window_ends_at_its_row_and_never_leaves_its_task():
    table, tasks = _tasks(_series(shuffled=True))
    batch = tasks.batch(range(60))
    assert batch.support_x.shape == (60, 3, 5, 1)
    sensors = np.array([int(name[1:]) for name in tasks.names_of(range(60))])
    for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
        raw, hours = _raw(table, x), _hours(table, y)
        # One by one, and before the first row that row.
        expected = (hours[..., None] + np.arange(-4, 1)).clip(0)
        np.testing.assert_array_equal(raw, 100 * sensors[:, None, None] + expected)


def test_support_rows_follow_one_another_before_the_query_rows():
    table, tasks = _tasks(_series(shuffled=True))
    batch = tasks.batch(range(200))
    support, query = _hours(table, batch.support_y), _hours(table, batch.query_y)
    assert (np.diff(support, axis=1) == 1).all()
    for number, (of_support, of_query) in enumerate(zip(support, query, strict=True)):
        own = of_query[: batch.query_sizes[number]]
        assert own.min() > of_support.max()
        assert (np.diff(own) > 0).all()
    # Any row may be the first, and the last one is always left to be predicted.
    assert {*support[:, 0]} == {*range(HOURS - 3)}
    assert {*query.ravel()} == {*range(3, HOURS)}


def test_in_order_of_time_without_a_window():
    table, tasks = _tasks(_series(shuffled=True), window=None)
    batch = tasks.batch(range(50))
    assert batch.support_x.shape == (50, 3, 1)
    assert (np.diff(_hours(table, batch.support_y), axis=1) == 1).all()


def test_a_series_shorter_than_its_window_is_filled_up():
    _, tasks = _tasks(_series(), window=40)
    assert tasks.left_out == []
    assert tasks.batch([0]).support_x.shape == (1, 3, 40, 1)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M"])
def test_times_may_be_dates(form):
    hours = pd.date_range("2024-01-30 20:00", periods=HOURS, freq="7h").strftime(form)
    frame = _series().assign(when=[*hours] * 6).sample(frac=1, random_state=1)
    table, tasks = _tasks(frame, time="when")
    batch = tasks.batch(range(20))
    assert (np.diff(_hours(table, batch.support_y), axis=1) == 1).all()


def test_times_that_stand_as_texts_are_numbers():
    frame = pd.DataFrame({"hour": ["10", "9", "100"]})
    assert times_of(frame, "hour").tolist() == [10, 9, 100]


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        (["1", "2", "noon"], "'hour', row 2: 'noon' is no number"),
        ([1.0, np.nan, 2.0], "'hour', row 1: no time; fill it in"),
    ],
)
def test_times_that_make_no_order(hours, told):
    frame = pd.DataFrame({"hour": hours})
    with pytest.raises(InputError, match=told):
        times_of(frame, "hour")
    with pytest.raises(InputError, match="no column 'hours' for the time; did you mean 'hour'"):
        times_of(frame, "hours")


def test_windows_take_no_memory_where_rows_are_in_order():
    x = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    found = windows_of(x, None, 50)
    assert found.shape == (1000, 50, 3)
    assert found.strides[0] == x.strides[0]
    rows = window_rows(np.arange(1000), np.zeros(1, np.int64), 50)
    np.testing.assert_array_equal(found, x[rows])
    shuffled = np.random.default_rng(1).permutation(1000)
    of_shuffled = windows_of(x[shuffled], shuffled.astype(float), 50)
    np.testing.assert_array_equal(of_shuffled, x[rows][shuffled])


def test_rows_of_a_new_series_become_the_examples_of_training():
    table, tasks = _tasks(_series())
    how = TablePreparation.from_json(table.preparation.as_json())
    assert (how.time, how.window) == ("hour", 5)
    one = _series().query("sensor == 's2'")
    expected = tasks.rows.examples(np.array([2]), np.arange(HOURS)[None])[0][0]
    for frame in (one, one.drop(columns="hour")):
        assert torch.equal(torch.from_numpy(how.examples(frame)), expected)
    turned = one.iloc[::-1]
    assert torch.equal(torch.from_numpy(how.examples(turned)), expected.flip(0))


def test_it_is_told_what_is_a_series():
    table, _ = _tasks(_series())
    assert (
        "in order of hour, an example is a row and 4 before it; hour tells the order alone"
        in table.preparation.describe()
    )
