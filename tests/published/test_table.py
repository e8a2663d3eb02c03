"""The page of results says what the files hold, and nothing else."""

from dataclasses import replace

from fewstep.config.budgets import FAST
from fewstep.published.files import ResultFile, cells
from fewstep.published.table import accuracy, results_page

ONE = ResultFile(
    **{"recipe": "omniglot-5way-1shot", "algorithm": "maml", "budget": "fast", "models": 1},
    **{
        "norm": "transductive",
        "accuracy": {"0": 0.2, "3": 0.98712},
        "ci95": {"0": 0.1, "3": 0.003},
    },
    **{"calibration_error": 0.0123, "tasks": 600, "seed": 0, "outer_steps": 9000},
    **{"kept_after": [9000], "wall_seconds": 1475.0, "device": "A Chip, 2 processes"},
    **{"protocol": "600 test tasks", "command": "fewstep train omniglot-5way-1shot"},
    **{"commit": "abc", "settings": "0-5", "versions": {"torch": "2.13.0"}},
)
AVERAGE = replace(ONE, models=5, accuracy={"3": 0.991}, ci95={"3": 0.002})


def rows(page):
    """The cells of each row of the tables."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    heading = found[0]
    return heading, [dict(zip(heading, row, strict=True)) for row in found if row[0] in FAST]


def test_every_row_is_there_and_says_that_it_was_not_run():
    heading, found = rows(results_page([]))
    assert [(row["recipe"], row["algorithm"], row["budget"]) for row in found] == cells()
    assert len(found) == 6 * 3 * 2
    for row in found:
        assert {row[name] for name in heading[3:8]} == {"not run"}
        assert row["command"].startswith(f"`fewstep train {row['recipe']} --algorithm")


def test_a_row_says_what_was_measured():
    _, found = rows(results_page([ONE, AVERAGE, replace(ONE, norm="inductive")]))
    assert found[0] == {
        **{"recipe": "omniglot-5way-1shot", "algorithm": "maml", "budget": "fast"},
        **{"transductive": "98.71 ± 0.30", "inductive": "98.71 ± 0.30"},
        **{"average of 5, transductive": "99.10 ± 0.20", "average of 5, inductive": "not run"},
        **{"calibration error": "1.23 / 1.23", "paper": "98.7 ± 0.4", "seeds": "0"},
        **{"test tasks": "600", "outer steps": "9,000", "wall time": "25 min"},
        **{"device": "A Chip, 2 processes", "commit": "abc"},
        "command": "`fewstep train omniglot-5way-1shot`",
    }
    assert found[1]["transductive"] == "not run"
    _, found = rows(results_page([AVERAGE]))
    assert found[0]["transductive"] == "not run"
    assert found[0]["average of 5, transductive"] == "99.10 ± 0.20"


def test_seeds_are_put_together():
    other = replace(ONE, seed=1, accuracy={"3": 0.99}, ci95={"3": 0.004}, wall_seconds=2000.0)
    assert accuracy([ONE, other], "transductive", average=False) == "98.86 ± 0.25"
    _, (row, *_) = rows(results_page([ONE, other]))
    assert (row["seeds"], row["wall time"]) == ("0, 1", "29 min")


def test_figures_from_memory_are_marked():
    page = results_page([])
    _, found = rows(page)
    papers = {(row["recipe"], row["algorithm"]): row["paper"] for row in found}
    assert papers["omniglot-20way-1shot", "maml++"] == "97.65 ± 0.05 (from memory)"
    assert papers["mini-imagenet-5way-5shot", "maml++"] == "68.32 ± 0.44 (quoted)"
    assert papers["mini-imagenet-5way-1shot", "maml"] == "48.70 ± 1.84"
    assert papers["omniglot-5way-1shot", "maml++"] == "not known here"
    assert "the standard deviation over 3 seeds" in page
    assert "the 95% interval over 600 tasks of one model" in page
