"""Dates of a table: how they are written, and how many days they are."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.naming import factorize, load_pandas, row_name, shown
from fewstep.errors import InputError

SHARE = 0.75  # a column with so many dates is one of dates, and others are mistakes
_DAYS = ("ISO8601", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d")
_TIMES = ("", " %H:%M", " %H:%M:%S")
FORMATS = (
    *(f"{day}{time}" for day in _DAYS for time in _TIMES if day != "ISO8601" or not time),
    *("%d-%b-%Y", "%d %b %Y", "%Y年%m月%d日", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y"),
)
WORDS = {"Y": "year", "y": "year", "m": "month", "b": "month", "d": "day", "H": "hour"}
# Cheaper than to try all formats, and it keeps a year, a telephone number or a version out.
_LIKE_DATE = re.compile(r"\d{4}-\d{2}|\d{1,4}[-/. 年](\d{1,2}|[A-Za-z]{3})[-/. 月]\d{1,4}\D?.*")
_SAMPLE = 1000


def date_format(texts: list[str]) -> str | None:
    """How most of some texts are written as dates; ``None`` if they are none.

    Where the month and the day may both come first, the month does.
    """
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    if sum(bool(_LIKE_DATE.fullmatch(text)) for text in sample) < SHARE * len(sample):
        return None
    best, most = None, 0.0
    for how in FORMATS:
        share = float(np.mean(~np.isnan(_days(sample, how))))
        if share > most:
            best, most = how, share
        if share == 1:
            break
    return best if most >= SHARE else None


def in_words(how: str) -> str:
    """A format for people, such as ``day.month.year``."""
    if how == "ISO8601":
        return "year-month-day"
    return re.sub("%([A-Za-z])", lambda found: WORDS.get(found[1], found[1]), how.split(" %H")[0])


def is_ambiguous(texts: list[str], how: str) -> bool:
    """Whether the same texts are dates when the day and the month change places."""
    turned = how.replace("%m", "%x").replace("%d", "%m").replace("%x", "%d")
    return "%" in how and turned != how and not np.isnan(_days(texts, turned)).any()


def as_days(frame: Any, name: str, how: str | None) -> npt.NDArray[np.float64]:
    """Days since 1970 of a column of dates, NaN where they are missing.

    Texts are written ``how`` it says; a column of dates is taken as it is.

    Raises:
        InputError: One is no date of this form.
    """
    pd = load_pandas()
    column = frame[name]
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        times = pd.to_datetime(column, utc=True).dt.tz_localize(None)
        return _since_1970(times.to_numpy())
    codes, values = factorize(column)
    texts = [str(value).strip() for value in values]
    days: npt.NDArray[np.float64] = np.append(_days(texts, how or "ISO8601"), np.nan)[codes]
    wrong = np.isnan(days) & (codes >= 0)
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"column {name!r}, {row_name(frame, place)}: {shown(texts[codes[place]])} is no date "
            f"like the others ({in_words(how or 'ISO8601')}); correct it, or leave it empty where "
            "it is not known"
        )
    return days


def _days(texts: list[str], how: str) -> npt.NDArray[np.float64]:
    pd = load_pandas()
    found = pd.to_datetime(pd.Series(texts, dtype=object), format=how, errors="coerce", utc=True)
    return _since_1970(found.dt.tz_localize(None).to_numpy())


def _since_1970(times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float64]:
    microseconds = times.astype("datetime64[us]").astype(np.int64)
    days = np.asarray(microseconds / 86400e6, np.float64)
    days[np.isnat(times)] = np.nan
    return days
