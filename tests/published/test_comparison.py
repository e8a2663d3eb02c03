"""A result is held against the table, or else the paper, by both intervals."""

import pytest

from fewstep.published.comparison import compared
from fewstep.published.files import ResultFile
from fewstep.published.papers import PaperFigure
from tests.tiny_recipe import EXAMPLE

WORDS = {"agrees": "within", "higher": "beyond", "lower": "beyond"}


@pytest.mark.parametrize(("share", "word"), [(1.3, "agrees"), (1.5, "higher"), (-1.5, "lower")])
def test_the_verdict_minds_both_intervals(share, word):
    """The root of two equal ones squared is 1.41 times as wide."""
    own, table = (
        [
            ResultFile(
                **{**EXAMPLE, "accuracy": {"0": 0.2, "3": mean}, "ci95": {"0": 0.0, "3": 0.02}}
            )
        ]
        for mean in (0.9 + 0.02 * share, 0.9)
    )
    paper = PaperFigure(0.1, 0.0, "interval", "read", "A paper", "some tasks")
    lines, verdict = compared(own, table, paper)
    assert verdict.word == word
    assert lines[-1] == f"verdict: {word}"
    assert f"one model, transductive: {90 + 2 * share:.2f} ± 2.00; the table 90.00 ± " in lines[0]
    assert lines[0].endswith(f"{2 * share:+.2f} points, {WORDS[word]} 2.83)")


def test_deviations_over_seeds_are_no_intervals():
    """Half of what 95% of the seeds lie within is 1.96 of them."""
    own = [ResultFile(**{**EXAMPLE, "accuracy": {"1": 0.95}, "ci95": {"1": 0.0}})]
    paper = PaperFigure(0.96, 0.006, "deviation", "read", "A paper", "some tasks")
    lines, verdict = compared(own, [], paper)
    assert verdict.word == "agrees"
    assert "within 1.18" in lines[-3]
