"""The page of results says what the files hold, and nothing else."""

from dataclasses import replace

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
    """The cells of each row of the first table."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    heading, _, *found = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines
    ]
    return [dict(zip(heading, row, strict=True)) for row in found]


def not_run(page):
    """What the page names as not run."""
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    return [
        (recipe, *cell.split(" (")[0].split(", "))
        for recipe, text in sections.items()
        for line in text.splitlines()
        if line.startswith("Not run: ")
        for cell in line.removeprefix("Not run: ").split("; ")
    ]


def test_every_cell_is_there_and_is_named_as_not_run():
    page = results_page([])
    assert "| " not in page
    assert not_run(page) == cells()
    assert len(cells()) == 6 * 3 * 2
    assert "maml, paper (60,000 outer steps)" in page


def test_a_row_says_what_was_measured():
    page = results_page([ONE, AVERAGE, replace(ONE, norm="inductive")])
    (row,) = rows(page)
    assert row == {
        "algorithm, budget": "maml, fast",
        **{"transductive": "98.71 ± 0.30", "inductive": "98.71 ± 0.30"},
        **{"average of 5, transductive": "99.10 ± 0.20", "average of 5, inductive": "not run"},
        **{"calibration error": "1.23 / 1.23", "paper": "98.7 ± 0.4"},
    }
    told = "seed 0; 600 test tasks; 9,000 outer steps; 25 min on A Chip, 2 processes; commit abc."
    assert f"- maml, fast: `fewstep train omniglot-5way-1shot`; {told}" in page.splitlines()
    assert not_run(page) == [cell for cell in cells() if cell != ONE.cell]
    (row,) = rows(results_page([AVERAGE]))
    assert row["transductive"] == "not run"
    assert row["average of 5, transductive"] == "99.10 ± 0.20"


def test_seeds_are_put_together():
    other = replace(ONE, seed=1, accuracy={"3": 0.99}, ci95={"3": 0.004}, wall_seconds=2000.0)
    assert accuracy([ONE, other], "transductive", average=False) == "98.86 ± 0.25"
    page = results_page([ONE, other])
    assert len(rows(page)) == 1
    assert "; seeds 0, 1; 600 test tasks; 9,000 outer steps; 29 min on A Chip" in page


def test_figures_from_memory_are_marked():
    papers = {
        ("omniglot-20way-1shot", "maml++"): "97.65 ± 0.05 (from memory)",
        ("mini-imagenet-5way-5shot", "maml++"): "68.32 ± 0.44 (quoted)",
        ("mini-imagenet-5way-1shot", "maml"): "48.70 ± 1.84",
        ("omniglot-5way-1shot", "maml++"): "not known here",
    }
    for (recipe, algorithm), paper in papers.items():
        (row,) = rows(results_page([replace(ONE, recipe=recipe, algorithm=algorithm)]))
        assert row["paper"] == paper
    page = results_page([])
    assert page.count("in papers: no figure is known here.") == 2
    assert "97.65 ± 0.05 in Antoniou, Edwards and Storkey 2019" in page
    assert "from memory, not checked" in page
    assert "the standard deviation over 3 seeds" in page
    assert "the 95% interval over 600 tasks of one model" in page
