"""Temperature and threshold of a run, written and read back."""

import json

import pytest

from fewstep.errors import InputError
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.calibration import Threshold
from fewstep.training.calibration_file import calibration_as_json, read_calibration

FOUND = Calibration(1.25, 900, 0.101234567891, 0.02, 0.1, Threshold(0.99999998765, 0.9, 0.8))


def test_it_is_read_back_to_the_last_digit(tmp_path):
    told = calibration_as_json(FOUND, "inductive", 5, 100)
    (tmp_path / "c.json").write_text(json.dumps(told))
    assert read_calibration(tmp_path / "c.json") == (1.25, 0.99999998765)
    assert told == {
        **{"temperature": 1.25, "threshold": 0.99999998765, "norm": "inductive", "steps": 5},
        **{"tasks": 100, "ece_before": 0.101235, "ece_after": 0.02},
        **{"known_kept": 0.9, "absent_refused": 0.8},
    }


def test_there_may_be_no_threshold(tmp_path):
    told = calibration_as_json(Calibration(0.5, 9, 0.1, 0.1, 0.0), "inductive", 1, 9)
    (tmp_path / "c.json").write_text(json.dumps(told))
    assert read_calibration(tmp_path / "c.json") == (0.5, None)
    assert told["threshold"] is told["known_kept"] is told["absent_refused"] is None


def test_without_the_file_probabilities_are_the_models(tmp_path):
    assert read_calibration(tmp_path / "c.json") == (1.0, None)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"temperature": 0}', '{"temperature": "1"}', '{"temperature": true}'),
        *('{"temperature": NaN}', '{"temperature": 1e999}', '{"temperature": 1, "threshold": []}'),
        '{"temperature": 1, "threshold": -0.5}',
    ],
)
def test_a_damaged_file_is_refused_in_one_line(content, tmp_path):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(InputError, match="remove it, and train in the same run dir") as refused:
        read_calibration(tmp_path / "c.json")
    assert "\n" not in str(refused.value)
