"""Rows of a table as examples: of every form, by name, with what is unusual of them."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.reading import read_table
from fewstep.errors import InputError
from fewstep.predictors.table_form import Prepared, TableForm
from tests.own_rows import INPUTS, rows_of_task, rows_of_tasks

HOW = TablePreparation.fit(rows_of_tasks(), "score", INPUTS)
ROWS = rows_of_task("new", 4)[INPUTS]
FORM = TableForm(HOW)


def forms(folder):
    """The same rows in every form."""
    ROWS.to_csv(folder / "rows.csv", index=False)
    ROWS.to_parquet(folder / "rows.parquet")
    yield ROWS
    yield ROWS[["colour", "hours"]].assign(more=1)
    yield folder / "rows.csv"
    yield str(folder / "rows.parquet")
    yield read_table(folder / "rows.csv")
    yield {name: ROWS[name].tolist() for name in reversed(INPUTS)}
    yield ROWS.to_dict("records")
    yield ROWS.to_numpy()
    yield ROWS.to_numpy().tolist()


def test_every_form_gives_the_same_examples(tmp_path):
    expected = torch.from_numpy(HOW.features(ROWS))
    for given in forms(tmp_path):
        assert torch.equal(FORM.tensor(given), expected), type(given)
        assert torch.equal(torch.cat(list(FORM.batches(given))), expected)
    assert torch.equal(FORM.tensor(Prepared(expected)), expected)
    one = FORM.tensor({name: ROWS[name][0] for name in INPUTS})
    assert torch.equal(one, expected[:1])


def test_an_array_is_of_the_inputs_in_their_given_order():
    """Categories come last among the features, and stay where they were among the inputs."""
    how = TablePreparation.fit(rows_of_tasks(), "score", ["colour", "hours"])
    assert how.inputs == ("colour", "hours")
    array = ROWS[["colour", "hours"]].to_numpy()
    assert torch.equal(TableForm(how).tensor(array), FORM.tensor(ROWS))
    again = TablePreparation.from_json(how.as_json())
    assert torch.equal(TableForm(again).tensor(array), FORM.tensor(ROWS))


def test_numbers_alone_may_be_a_tensor():
    how = TablePreparation.fit(rows_of_tasks(), "score", ["hours"])
    x = torch.tensor([[50.0], [55.0]])
    expected = TableForm(how).tensor({"hours": [50.0, 55.0]})
    assert torch.equal(TableForm(how).tensor(x), expected)
    assert TableForm(how, torch.float64).tensor(x).dtype == torch.float64


def test_what_is_unusual_is_warned_where_the_user_is():
    with pytest.warns(UserWarning, match="standard deviations from the mean") as caught:
        FORM.tensor(ROWS.assign(hours=5000))
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="'violet' is no category"):
        FORM.tensor(ROWS.assign(colour="violet"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FORM.tensor(ROWS)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (ROWS[["hours"]], r"has no column 'colour'; it has hours, and the model needs hours, colo"),
        (ROWS.rename(columns={"hours": "hour"}), r"no column 'hours' \(did you mean 'hour'\?\)"),
        ({"HOURS": [1], "tint": [2]}, r"no columns 'hours' \(did you mean 'HOURS'\?\), 'colour'"),
        (ROWS[:0], "no rows"),
        (ROWS.to_numpy()[:, :1], r"shape \[4, 1\]; expected a table with the columns hours, colo"),
        (ROWS.to_numpy()[0], r"shape \[2\]; expected a table"),
        (3, "expected a table"),
        (None, "expected a table"),
        ([], "expected a table"),
        ([[1, "red"], [2]], "expected"),
        ({"hours": [1, 2], "colour": ["red"]}, "expected as many values in each"),
        ("missing.csv", "missing.csv cannot be read"),
        (ROWS.assign(hours="many"), "column 'hours', row 0: 'many' is no number"),
        (ROWS.assign(hours=np.inf), "inf"),
    ],
)
def test_mistakes_are_told_in_a_line(x, told):
    with pytest.raises(InputError, match=told) as caught:
        FORM.tensor(x)
    assert "\n" not in str(caught.value)


def test_frames_of_polars():
    pl = pytest.importorskip("polars")
    assert torch.equal(FORM.tensor(pl.from_pandas(ROWS)), FORM.tensor(ROWS))


def test_windows_of_a_series():
    series = replace(HOW, time="when", window=3)
    rows = ROWS.assign(when=[4, 3, 2, 1])
    found = TableForm(series).tensor(rows)
    assert found.shape == (4, 3, len(HOW.feature_names))
    assert torch.equal(found[:, -1], FORM.tensor(ROWS))
    assert torch.equal(found[0, 0], FORM.tensor(ROWS)[2])


def test_rows_are_named_as_in_their_file(tmp_path):
    (tmp_path / "rows.csv").write_text("hours,colour\n50,red\nmany,red\n")
    with pytest.raises(InputError, match="row 3: 'many'"):
        FORM.tensor(tmp_path / "rows.csv")
