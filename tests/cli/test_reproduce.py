"""`fewstep reproduce`: a row of the table is run, and held against the table or the paper."""

import json

import pytest

from fewstep.cli import main, reproduce
from fewstep.published.files import ResultFile
from fewstep.published.of_run import results_of_run
from tests import tiny_recipe
from tests.cli.shared import refused
from tests.tiny_recipe import NAME, write


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch):
    """The folder of results, and a recipe of which there is none."""
    tiny_recipe.add(monkeypatch)
    tiny_recipe.draw_nothing(monkeypatch)
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(reproduce, "results_folder", lambda: folder)
    return folder


@pytest.fixture
def run_dir(budget_run):
    """A run of the row, which nothing here trains again."""
    return budget_run


def reproduced(run_dir, capsys, *more):
    """Exit status, lines printed and what is told beside."""
    capsys.readouterr()
    status = main(["reproduce", NAME, "--run-dir", str(run_dir), *more])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def test_a_lower_result_than_the_tables(run_dir, table, capsys):
    for one in results_of_run(run_dir):
        last = max(one.accuracy)
        write(table, one, accuracy=one.accuracy | {last: 1.0}, ci95=one.ci95 | {last: 0.0})
    status, lines, told = reproduced(run_dir, capsys)
    assert status == 1
    assert "verdict: lower" in lines
    of_table = [line for line in lines if "; the table " in line]
    assert [line.split(":")[0] for line in of_table] == [
        "one model, transductive",
        "one model, inductive",
        "average of the best checkpoints, transductive",
        "average of the best checkpoints, inductive",
    ]
    assert "95% of the differences lie between two measurements of equal models" in told
    assert "outer steps will be held against the table's 100.00 ± 0.00" in told
    # It had been trained, and is shown.
    assert "finished after 6 outer steps" in told


def test_the_same_run_is_the_same(run_dir, table, capsys):
    for one in results_of_run(run_dir):
        write(table, one)
    status, lines, _ = reproduced(run_dir, capsys)
    assert status == 0
    assert sum("agrees (+0.00 points, within" in line for line in lines) >= 4


@pytest.mark.parametrize(("figure", "status"), [((0.5, 0.5), 0), ((1.0, 0.0), 1)])
def test_without_a_row_the_paper_decides(figure, status, run_dir, monkeypatch, capsys):
    tiny_recipe.add(monkeypatch, *figure)
    found, lines, told = reproduced(run_dir, capsys)
    assert found == status
    assert f"the result of 6 outer steps will be held against the paper's {figure[0] * 100}" in told
    assert "this row of the table was not run yet: the paper's figure decides" in lines
    assert any("the paper: " in line and "95% interval over 600 tasks" in line for line in lines)


@pytest.mark.parametrize(
    "content",
    [
        b'{"recipe": ',
        b"\xff\xfe",
        b"[]",
        b"{}",
        json.dumps({**tiny_recipe.EXAMPLE, "accuracy": {"1": 98.7}, "ci95": {"1": 0.3}}).encode(),
        json.dumps({**tiny_recipe.EXAMPLE, "accuracy": {"1": 0.9}, "ci95": {"2": 0.3}}).encode(),
        json.dumps({**tiny_recipe.EXAMPLE, "accuracy": {"1": None}, "ci95": {"1": 0.3}}).encode(),
        json.dumps({**tiny_recipe.EXAMPLE, "accuracy": [0.9], "ci95": {"1": 0.3}}).encode(),
        json.dumps({**tiny_recipe.EXAMPLE, "accuracy": {}, "ci95": {}, "more": 1}).encode(),
        json.dumps({**tiny_recipe.EXAMPLE, "accuracy": {"1": True}, "ci95": {"1": 0.1}}).encode(),
    ],
)
def test_a_damaged_file_is_told_before_training(content, table, tmp_path, capsys):
    path = table / "omniglot-5way-1shot-maml-fast-seed0-transductive.json"
    path.write_bytes(content)
    told = refused(["reproduce", NAME, "--run-dir", str(tmp_path / "run")], capsys)
    assert f"{path.name} " in told
    assert told.count("restore it, or remove it and write it again with: python -m scripts") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["omniglot-5way-1short"], "did you mean omniglot-5way-1shot?"),
        (["sinusoid"], "the table of results has no row of sinusoid; choose one of omniglot-5way"),
        ([NAME, "--algorithm", "fomaml"], "neither the table nor a paper has a result of glyphs-"),
        ([NAME, "--budget", "slow"], "'slow'"),
        ([NAME, "--algorithm", "reptile"], "'reptile'"),
        ([], "RECIPE is missing"),
    ],
)
def test_rows_that_are_not_there(given, told, capsys):
    assert told in refused(["reproduce", *given], capsys)


def test_a_file_by_a_wrong_name(table, capsys):
    one = ResultFile(**tiny_recipe.EXAMPLE, accuracy={"1": 0.9}, ci95={"1": 0.1})
    (table / "other.json").write_text(json.dumps(one.as_json()))
    told = refused(["reproduce", NAME], capsys)
    assert f"other.json holds what belongs in {one.file_name}; rename or remove it" in told
