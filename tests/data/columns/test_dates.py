"""Dates in the ways that people write them, as days."""

import datetime

import numpy as np
import pandas as pd
import pytest

from fewstep import InputError
from fewstep.data.columns.dates import FORMATS, as_days, date_format, in_words, is_ambiguous

TIMES = [datetime.datetime(2023, 12, 1 + day, 10, 15) for day in range(25)]
DAYS = [(time - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1) for time in TIMES]


@pytest.mark.parametrize("how", FORMATS)
def test_each_format_is_found_and_read(how):
    texts = [time.isoformat(" ") if how == "ISO8601" else time.strftime(how) for time in TIMES]
    found = date_format(texts)
    assert found is not None
    days = as_days(pd.DataFrame({"day": [*texts, None]}), "day", found)
    exact = DAYS if how == "ISO8601" or "%H" in how else np.floor(DAYS)
    np.testing.assert_allclose(days[:-1], exact, atol=1e-9)
    assert np.isnan(days[-1])


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_dates_of_pandas(zone):
    column = pd.Series(pd.to_datetime(TIMES)).dt.tz_localize("UTC").dt.tz_convert(zone)
    np.testing.assert_allclose(as_days(pd.DataFrame({"day": column}), "day", None), DAYS)


@pytest.mark.parametrize("texts", [["1.2.3"], ["2024"], ["030-1234-5678"], ["a", "b"], ["12:30"]])
def test_other_texts_are_no_dates(texts):
    assert date_format(texts) is None


def test_the_month_comes_first_where_both_may():
    assert date_format(["01/02/2024", "03/04/2024"]) == "%m/%d/%Y"
    assert date_format(["01/02/2024", "13/04/2024"]) == "%d/%m/%Y"
    assert date_format(["01/02/2024"] * 9 + ["soon"]) == "%m/%d/%Y"
    assert is_ambiguous(["01/02/2024"], "%m/%d/%Y")
    assert not is_ambiguous(["01/13/2024"], "%m/%d/%Y")
    assert not is_ambiguous(["2024-01-02"], "ISO8601")
    assert in_words("%d.%m.%Y %H:%M") == "day.month.year"


def test_a_text_among_dates_is_named():
    frame = pd.DataFrame({"day": ["2024-01-31", "soon"]}, index=[2, 3])
    with pytest.raises(InputError, match=r"'day', row 3: 'soon' is no date"):
        as_days(frame, "day", "ISO8601")
