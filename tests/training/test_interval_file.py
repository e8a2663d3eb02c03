"""The half widths of a run's intervals, read from a file."""

import json

import pytest

from fewstep.errors import InputError
from fewstep.training.interval_file import read_half_widths


def test_they_are_by_the_number_of_support_rows(tmp_path):
    path = tmp_path / "interval.json"
    assert read_half_widths(path) is None
    path.write_text(json.dumps({"level": 0.95, "half_widths": {"5": 2, "10": 1.5}}))
    assert read_half_widths(path) == {5: 2.0, 10: 1.5}
    path.write_text("{}")
    assert read_half_widths(path) is None


@pytest.mark.parametrize("widths", [{"few": 1}, {"5": "wide"}, {"5": -1}, {"0": 1}, 3, [3]])
def test_a_damaged_file_is_told(widths, tmp_path):
    path = tmp_path / "interval.json"
    path.write_text(json.dumps({"half_widths": widths}))
    with pytest.raises(InputError, match=r"interval.json has half_widths .*; remove it"):
        read_half_widths(path)
