"""Names of columns and rows for people."""

from types import SimpleNamespace

import pandas as pd
import pytest

from fewstep import InputError
from fewstep.data.columns.naming import check_column


def test_a_column_that_is_there_costs_no_list_of_all_names():
    """Of 4,000 columns such a list for each one took half a minute."""

    class Columns(set):
        def __iter__(self):
            raise AssertionError("all names are listed")

    check_column(SimpleNamespace(columns=Columns(["a", "b"])), "a", "input")


def test_a_missing_column_is_told_with_the_nearest():
    told = "no column 'sensr' for the task; did you mean 'sensor'"
    with pytest.raises(InputError, match=told):
        check_column(pd.DataFrame({"sensor": [1], 3: [2]}), "sensr", "task")
    check_column(pd.DataFrame({3: [2]}), "3", "task")
