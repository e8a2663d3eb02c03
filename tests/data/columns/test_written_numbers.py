"""Numbers with thousands marks, percent signs, decimal commas and units: read, told or refused."""

import numpy as np
import pandas as pd
import pytest

from fewstep import InputError
from fewstep.data.columns.written_numbers import read_numbers, with_unit

MINUS = "\u2212"


def read(cells, decimal="."):
    frame = pd.DataFrame({"p": cells})
    found = read_numbers(frame, ["p"], decimal)
    found.check(["p"])
    return found


@pytest.mark.parametrize(
    ("cells", "decimal", "numbers"),
    [
        (["987", "1.234"], ",", [987, 1234]),
        (["987,3", "1.234,5"], ",", [987.3, 1234.5]),
        (["987", "1.234.567"], ",", [987, 1234567]),
        (["987", "1,234"], ".", [987, 1234]),
        (["-2,300.0", "12.5"], ".", [-2300, 12.5]),
        (["35.0", "7"], ",", [35, 7]),
        (["57%", "3 %"], ".", [57, 3]),
        (["5,7%", "3,0%"], ",", [5.7, 3]),
        (["21,8", "7,125"], ".", [21.8, 7.125]),
        (["1.234,5", "987,3"], ".", [1234.5, 987.3]),
        (["1'234.5", "987"], ".", [1234.5, 987]),
        (["1 234", "1 234 567"], ",", [1234, 1234567]),
        ([f"{MINUS}3.5", "2"], ".", [-3.5, 2]),
    ],
)
def test_written_numbers_are_read(cells, decimal, numbers):
    found = read([*cells, None, " "], decimal)
    assert found.frame.p[: len(numbers)].tolist() == numbers
    assert found.frame.p[len(numbers) :].isna().all()
    (note,) = found.notes
    assert "p (" in note


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (["red", "blue"], "."),
        (["1", "2.5"], "."),
        (["31.12.2024", "1.2.2024"], ","),
        (["2024-01-31", "2024-02-01"], "."),
        (["1,3", "1,2,4", "2", "1,2,3"], "."),
        (["10 mg", "20 mg"], "."),
        (["192.168.1.1", "10.0.0.1"], ","),
        (["S001", "S002"], "."),
        ([[1], [2]][:0], "."),
    ],
)
def test_other_texts_stay(cells, decimal):
    found = read(cells, decimal)
    assert found.frame.p.tolist() == cells
    assert found.notes == ()


@pytest.mark.parametrize(
    ("cells", "decimal", "told"),
    [
        (["1.234", "1.23"], ",", "has '1.234' in row 0 and '1.23' in row 1: a comma or a point"),
        (["1.234", "0.234"], ",", "has '1.234' in row 0 and '0.234' in row 1"),
        (["987,3", "987.3"], ",", "has '987,3' in row 0 and '987.3' in row 1: a comma or a point"),
        (["987,3", "987.3"], ".", "has '987.3' in row 1 and '987,3' in row 0: a comma or a point"),
        (["57%", "0.5"], ".", "has '57%' in row 0 and '0.5' in row 1: some have a percent sign"),
    ],
)
def test_what_is_written_in_two_ways_is_refused(cells, decimal, told):
    with pytest.raises(InputError) as caught:
        read(cells, decimal)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_that_nobody_uses_are_no_matter():
    frame = pd.DataFrame({"p": ["987,3", "987.3"], "q": ["1,234", "2"]})
    found = read_numbers(frame, ["p", "q"])
    found.check(["q"])
    assert found.frame.q.tolist() == [1234, 2]
    assert frame.q.tolist() == ["1,234", "2"]


def test_mistakes_among_written_numbers_stay():
    found = read(["1,234", "987", "2,345", "<LOD"])
    assert found.frame.p.tolist() == [1234, 987, 2345, "<LOD"]


def test_numbers_with_a_unit_are_found():
    values = np.linspace(10, 30, 41)
    assert with_unit(pd.Series([f"{v:.1f} °C" for v in values])) == "10.0 °C"
    assert with_unit(pd.Series([f"€ {v:.1f}k" for v in values]))
    assert with_unit(pd.Series([f"{n}{'mg' if n % 2 else 'g'}" for n in range(20)]))


@pytest.mark.parametrize(
    "cells",
    [
        [f"S{n}" for n in range(50)],
        ["10 mg", "20 mg"] * 20,
        [f"{n}{chr(97 + n % 20)}" for n in range(50)],
        [f"2024年{n}月3日" for n in range(1, 13)],
        [f"{n}.5" for n in range(50)],
        [f"12:{n:02d}" for n in range(50)],
    ],
)
def test_other_texts_have_no_unit(cells):
    assert with_unit(pd.Series(cells)) is None
