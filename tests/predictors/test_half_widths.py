"""The half width of an interval, by the number of support rows."""

from dataclasses import replace

from fewstep.config.recipes import RECIPES
from fewstep.predictors.half_widths import half_width_of

MEASURED = {5: 4.0, 10: 3.0}


def test_the_nearest_number_of_rows_that_is_not_larger():
    found = {rows: half_width_of(MEASURED, rows, 5, None)[0] for rows in (1, 4, 5, 9, 10, 500)}
    assert found == {1: None, 4: None, 5: 4.0, 9: 4.0, 10: 3.0, 500: 3.0}
    assert half_width_of(None, 5, 5, None) == half_width_of({}, 5, 5, None) == (None, "")


def test_other_inner_steps_were_not_measured():
    config = replace(RECIPES["sinusoid"].config, test_inner_steps=3)
    assert half_width_of(MEASURED, 5, 3, config) == (4.0, "")
    width, note = half_width_of(MEASURED, 5, 2, config)
    assert width is None
    assert note == "no interval: it was measured after 3 inner steps, not 2"
