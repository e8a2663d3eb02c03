"""Predictions for rows, as JSON, text and CSV."""

import csv
import io
import json

import numpy as np
import pytest

from fewstep.report.row_predictions import LabelRows, NumberRows, as_csv, row_lines


def rows(header, cells, found):
    return list(csv.reader(io.StringIO(as_csv(header, cells, found).decode())))


@pytest.mark.parametrize(
    ("scale", "told", "shown"),
    [
        (1.0, 12345.67891, "12345.68"),
        (0.0012, 12345.67891235, "12345.67891"),
        (3e5, 12346.0, "12000"),
        (0.0, 12345.67891, "12345.68"),
    ],
)
def test_digits_are_those_of_the_targets_spread(scale, told, shown):
    found = NumberRows("y", np.array([12345.6789123456]), scale)
    assert found.told(0) == {"row": 0, "prediction": told}
    assert found.cells(0) == ["0", shown]


def test_intervals_and_truths():
    found = NumberRows("y", np.array([1.0, 2.0]), 1.0, 0.5, {1: 2.25}, [7, 9])
    assert found.told(0) == {"row": 0, "prediction": 1.0, "interval": [0.5, 1.5]}
    assert found.told(1)["target"] == 2.25
    lines = [line.split("  ") for line in row_lines(found, 80)]
    assert [cell.strip() for cell in lines[0] if cell] == ["row", "y", "95% interval", "truth"]
    assert lines[1][0] == "7"
    assert rows(["x"], [["a"], ["b"]], found) == [
        ["x", "prediction", "low", "high"],
        ["a", "1.0", "0.5", "1.5"],
        ["b", "2.0", "1.5", "2.5"],
    ]


def test_labels_of_every_type():
    best = [[(True, 0.75), (False, 0.25)], [(False, 0.51), (True, 0.49)]]
    found = LabelRows("ok", [True, None], best, {0: True})
    assert found.told(0) == {
        **{"row": 0, "label": True, "probability": 0.75, "class": True, "right": True},
        "top": [{"label": True, "probability": 0.75}, {"label": False, "probability": 0.25}],
    }
    assert json.loads(json.dumps(found.told(1)))["label"] is None
    assert "none of these" in "".join(row_lines(found, 80))
    assert rows(["label"], [["a"], ["b"]], found) == [
        ["label", "label_2", "probability", "label_2_2", "probability_2"],
        ["a", "True", "0.75", "False", "0.25"],
        ["b", "", "0.51", "True", "0.49"],
    ]


def test_many_rows_are_shown_in_part():
    found = NumberRows("y", np.arange(1000.0))
    lines = list(row_lines(found, 80))
    assert len(lines) == 22
    assert lines[-1] == "... and 980 more; --json prints all"
    assert len(list(row_lines(NumberRows("y", np.arange(20.0)), 80))) == 21
