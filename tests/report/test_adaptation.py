"""The sentences that tell what an adaptation came to."""

import pytest

from fewstep.predictors.verdict import Verdict
from fewstep.report.adaptation import accuracy_line, learned, rival_lines, winner_sentence


def test_classes_and_counts():
    assert learned({"crow": 2, "owl": 1}) == "learned 2 classes from 3 pictures: crow 2, owl 1"
    many = {f"class {n}": 5 for n in range(50)}
    assert learned(many) == "learned 50 classes from 250 pictures: 5 each"
    assert learned({**many, "one": 1}).endswith(": 1 to 5 each")


def test_an_accuracy_says_of_what_and_how_sure():
    assert accuracy_line(Verdict(24, 25)) == (
        "accuracy 96.0% of 25 query pictures (95% interval 80.5% to 99.3%)"
    )
    assert "support pictures, each left out in turn" in accuracy_line(Verdict(1, 2, {}, True))


@pytest.mark.parametrize(
    ("right", "rival", "told"),
    [
        (24, 24, "fine-tuning, 30 steps of 0.1 does as well here"),
        (24, 23, "this model does best here, which 25 pictures do not settle"),
        (24, 10, "this model does best here"),
        (23, 24, "fine-tuning, 30 steps of 0.1 does better here, which 25 pictures do not settle"),
        (10, 25, "fine-tuning, 30 steps of 0.1 does better here"),
    ],
)
def test_who_does_best(right, rival, told):
    verdict = Verdict(right, 25, {"nearest_mean_pixels": None, "fine_tuning": rival})
    assert winner_sentence(verdict) == told


def test_a_rival_that_diverges_is_told():
    lines = list(rival_lines(Verdict(2, 4, {"fine_tuning": None, "nearest_mean_pixels": 1}), 80))
    assert lines[2].split()[-1] == "diverges"
    assert lines[3].split()[-1] == "25.0%"
