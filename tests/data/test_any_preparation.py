"""The preparation of pictures or of rows, as JSON values."""

import json

import pytest

from fewstep.data.any_preparation import is_of_table, preparation_as_json, preparation_of_json
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.preparation import Preparation
from tests.own_rows import INPUTS, rows_of_tasks


@pytest.mark.parametrize("target", ["score", "passed"])
def test_it_comes_back_as_it_was(target):
    of_rows = TablePreparation.fit(rows_of_tasks(), target, INPUTS)
    for how in (of_rows, Preparation(size=16, channels=3), None):
        told = json.loads(json.dumps(preparation_as_json(how)))
        assert preparation_of_json(told) == how
        assert is_of_table(told) == (how is of_rows)


def test_values_that_describe_none():
    for told in ({"target": "score"}, {"size": 3}, {"target": 1, "forms": 3}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            preparation_of_json(told)
