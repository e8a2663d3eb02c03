"""Tables on narrow terminals: no number is ever cut."""

import re
from dataclasses import replace

import pytest

from fewstep.cli import main
from fewstep.cli.console import plain_console
from fewstep.config.recipes import RECIPES
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.calibration import Threshold
from fewstep.evaluation.evaluate import Means, Result
from fewstep.evaluation.numbers import shown
from fewstep.report.table import ScoreTable, calibration_lines

WIDTHS = [20, 33, 40, 60, 80, 120]
NUMBER = r"\d[\d.,]*\d|\d"


def result(steps, scale, *metrics):
    scores = [scale * (0.9 - 0.07 * step) for step in range(steps + 1)]
    ci95 = [scale * (0.01 + 0.003 * step) for step in range(steps + 1)]
    means = Means(scores, ci95)
    names = metrics or ("accuracy" if scale == 1.0 else "mse",)
    return {"transductive": Result(dict.fromkeys(names, means), means, tasks=9, diverged=None)}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("recipe", "scale"), [("glyphs-5way-1shot", 1.0), ("sinusoid", 150.0)])
def test_a_score_is_never_cut(recipe, scale, width, encoding, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["maml", "a-run-with-a-long-name/of-two-parts, whole", "random"]
    shared = result(10, scale)
    table = ScoreTable(dict.fromkeys(names, shared))
    console = plain_console()
    monkeypatch.setattr(type(console), "encoding", encoding)
    console.print(table)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "…" not in out
    one = shared["transductive"].score
    for score, ci95 in ((one.mean[s], one.ci95[s]) for s in (0, 1, 3, 5, 10)):
        metric = "mse" if recipe == "sinusoid" else "accuracy"
        number, half = shown(metric, score, ci95).replace("%", "").split(" ± ")
        sign = "±" if encoding == "utf-8" else r"\+-"
        assert len(re.findall(rf"(?<!\d){number}\s*{sign}\s*{half}(?!\d)", out)) == 3
    folded = re.sub(r"\s", "", out)
    assert "maml" in folded
    assert "random" in folded


@pytest.mark.parametrize("width", range(50, 90))
def test_words_of_a_name_stay_whole(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    one = result(10, 1.0)["transductive"]
    runs = {"maml++": {"transductive": one, "inductive": one}}
    plain_console().print(ScoreTable(runs))
    out = capsys.readouterr().out
    assert len(re.findall(r"\btransductive\b", out)) == 1
    assert len(re.findall(r"\binductive\b", out)) == 1


@pytest.mark.parametrize("width", ["5", "9", "11"])
def test_a_score_stays_on_its_line(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", width)
    table = ScoreTable({"maml": result(10, 1.0)})
    plain_console().print(table, crop=False)
    assert "   0  90.0 ± 1.0\n" in capsys.readouterr().out


@pytest.mark.parametrize("width", ["0", "00"])
def test_no_columns_are_80(width, monkeypatch, capsys):
    table = ScoreTable({"maml": result(10, 1.0)})
    outputs = []
    for columns in (width, "80"):
        monkeypatch.setenv("COLUMNS", columns)
        plain_console().print(table)
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert "90.0 ± 1.0" in outputs[0]


def test_a_wide_terminal_has_one_row_a_start(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    both = {"maml": result(5, 1.0), "random": result(5, 1.0)}
    plain_console().print(ScoreTable(both))
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "±" in line]
    assert [row[0] for row in rows] == ["maml", "random"]
    assert [len(row) for row in rows] == [1 + 4 * 3, 1 + 4 * 3]


def test_each_norm_and_each_metric_has_a_row(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    one = result(5, 1.0, "accuracy", "f1")["transductive"]
    both = {"maml": {"inductive": one, "transductive": one}}
    plain_console().print(ScoreTable(both))
    out = capsys.readouterr().out
    assert "accuracy in %, f1 after inner steps" in out
    rows = [line.strip().split("  ")[0] for line in out.splitlines() if "±" in line]
    assert rows == [f"maml, {n}, {m}" for n in both["maml"] for m in ("accuracy", "f1")]
    assert "90.0 ± 1.0" in out
    assert "0.900 ± 0.010" in out


@pytest.mark.parametrize(
    ("width", "rows", "borders"), [(84, 3, 1), (80, 4, 1), (77, 3, 0), (72, 4, 0), (70, 18, 0)]
)
def test_names_are_folded_then_the_borders_go(width, rows, borders, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    runs = {name: result(10, 1.0) for name in ("maml", "finetune, whole", "random")}
    plain_console().print(ScoreTable(runs))
    out = capsys.readouterr().out
    assert ("─" in out) == bool(borders)
    after = out[out.index("maml") :].rstrip().splitlines()
    assert len(after) == rows
    assert max(line.count("±") for line in after) == (5 if rows < 5 else 1)


@pytest.mark.parametrize("width", WIDTHS)
def test_recipes_are_whole_at_every_width(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "…" not in out
    for name, recipe in RECIPES.items():
        # A name is folded only where it is wider than the terminal.
        assert name in (out if len(name) <= width else out.replace("\n", ""))
        for number in re.findall(NUMBER, recipe.expected):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", out)


def test_the_calibration_of_each_norm_is_told():
    sure = Calibration(1.5, 15000, 0.0812, 0.0149, 0.0799)
    unsure = Calibration(0.75, 15000, 0.1, 0.02, -0.099, Threshold(0.613, 0.82, 0.741))
    (one,) = result(1, 1.0).values()
    both = {
        "transductive": replace(one, calibration=sure),
        "inductive": replace(one, calibration=unsure),
    }
    assert calibration_lines(both) == [
        "calibration, transductive: expected error 8.1% (8.0 points too sure), 1.5% at temperature "
        "1.50; 15,000 predictions",
        "calibration, inductive: expected error 10.0% (9.9 points not sure enough), 2.0% at "
        "temperature 0.75; 15,000 predictions",
        "none of these: below a probability of 61.3%, which refuses 74% of absent classes and "
        "keeps 82% of the others in validation tasks",
    ]
    assert calibration_lines({"inductive": both["transductive"]})[0].startswith("calibration: ")
    assert calibration_lines(result(1, 1.0)) == []
