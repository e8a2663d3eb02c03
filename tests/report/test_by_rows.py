"""Models by rows, told in words and values: defeats as plainly as victories."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fewstep.config.recipes import table_config
from fewstep.evaluation.by_rows import AtRows
from fewstep.evaluation.numbers import shown
from fewstep.report.by_rows import as_json, as_lines, sentence

CONFIG = table_config("/data/exams.csv", task="school", target="score")
random = np.random.default_rng(0)


def at(rows, ours, theirs, tasks=20):
    hard = random.normal(5, 1, tasks)
    scores = {
        name: hard + middle + 0.05 * random.normal(size=tasks)
        for name, middle in (("exams", ours), ("mixed effects", theirs), ("ridge", 2.0))
    }
    return AtRows(rows, scores, False, {"ridge": f"penalty {rows}", "mixed effects": "2 slopes"})


FOUND = [at(1, 1.0, 0.0), at(5, 0.0, 0.0), at(10, 0.0, 1.0)]


def test_sentences_say_who_is_best():
    lost, level, won = (sentence("rmse", one) for one in FOUND)
    assert lost.startswith("1 row: mixed effects is best, ")
    assert "; behind: exams by " in lost
    assert "not told apart" not in lost
    assert level.startswith("5 rows: ")
    assert "; not told apart from it: " in level
    assert won.startswith("10 rows: exams is best, ")
    assert "; behind: mixed effects by " in won


def test_a_model_that_diverged_is_named():
    scores = {"exams": np.ones(3), "fine-tuned": np.array([1.0, np.nan, 1.0])}
    found = AtRows(5, scores, False, {}, {"fine-tuned": 2})
    best = "5 rows: exams is best, 1.00; diverged, so without a mean: fine-tuned"
    assert sentence("rmse", found) == f"{best} (2 draws)"
    assert sentence("rmse", AtRows(5, scores, False, {})) == best
    assert "nan" not in "".join(as_lines(CONFIG, [found], 60, 80))
    assert as_json(CONFIG, [found], 60)["rows"]["5"]["models"]["fine-tuned"]["diverged"] == 2


@pytest.mark.parametrize("width", [80, 60, 40])
def test_every_number_stands_below_its_heading(width):
    """Five columns of long numbers: in parts where they do not fit, each with its heading."""
    drawn = {"exams": 1234 * random.normal(5, 1, 20), "mixed effects": random.normal(5e5, 9e4, 20)}
    found = [AtRows(rows, drawn, False, {}) for rows in (1, 2, 5, 10, 20)]
    lines = list(as_lines(CONFIG, found, 60, width))
    columns, heads = {}, []
    for line in lines[1 : lines.index("")]:
        assert len(line) <= width
        first, *cells = re.split("  +", line)
        if first == "rows of the task":
            heads = cells
        else:
            columns |= {(first, rows): cell for rows, cell in zip(heads, cells, strict=True)}
    cells = {name: shown("rmse", *found[0].mean(name)).replace(" ", "") for name in drawn}
    expected = {(name, str(one.rows)): cells[name] for name in drawn for one in found}
    assert columns == expected


@pytest.mark.parametrize("width", [80, 30])
def test_lines_hold_every_number(width):
    lines = list(as_lines(CONFIG, FOUND, 60, width))
    assert lines[0] == "rmse of score on new tasks, by their rows"
    text = "\n".join(lines)
    for one in FOUND:
        for name in one.scores:
            assert f"{one.mean(name).mean:#.3g}±" in text
    assert (
        "ridge: a ridge regression of the task's rows alone; penalty 1 (1), penalty 5 (5)" in text
    )
    assert "(BLUP); 2 slopes\n" in text
    assert lines[-1].startswith("20 test tasks of exams, 60 draws of rows, the same for all")


def test_values_are_those_of_the_lines():
    told = as_json(CONFIG, FOUND, 60)
    assert [*told["rows"]] == ["1", "5", "10"]
    first = told["rows"]["1"]
    assert (first["best"], first["not_told_apart"], first["tasks"]) == ("mixed effects", [], 20)
    ours = first["models"]["exams"]
    assert ours["behind_best"] == pytest.approx(1, abs=0.1)
    assert ours["behind_best_ci95"] < 0.1
    assert first["models"]["ridge"]["chosen"] == "penalty 1"
    assert ours["chosen"] is None


def test_accuracies_are_percentages():
    config = replace(CONFIG, n_way=2, algorithm="maml")
    found = AtRows(1, {"exams": np.array([0.5, 0.7]), "majority": np.array([0.9, 0.9])}, True, {})
    lines = list(as_lines(config, [found], 60, 80))
    assert lines[0] == "accuracy of score in % on new tasks, by their rows"
    assert "exams" in lines[2]
    assert "60.0±" in lines[2]
    assert lines[-4].startswith("1 row: majority is best, 90.0%; not told apart from it: exams")
    found = AtRows(1, {"exams": np.full(3, 0.6), "majority": np.full(3, 0.653)}, True, {})
    # A difference of two shares is no share.
    told = sentence("accuracy", found)
    assert told.endswith("behind: exams by 5.3 ± 0.0 percentage points")
