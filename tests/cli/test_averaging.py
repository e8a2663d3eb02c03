"""The final test of a run with a budget: one model, and the average of the best five."""

import json
import shutil
from dataclasses import replace

from fewstep.cli import main
from fewstep.cli.averaging import average_lines
from fewstep.config.recipes import find_recipe
from tests import tiny_recipe


def test_the_average_stands_beside_the_single_model(budget_run, monkeypatch, capsys):
    summary = json.loads((budget_run / "summary.json").read_text())
    assert (summary["models"], summary["budget"]) == (1, "fast")
    average = summary["average"]
    assert average["models"] == len(average["outer_steps"]) == 5
    assert set(average["norms"]) == set(average["calibration_error"]) == set(summary["norms"])
    for norm, figures in average["norms"].items():
        assert list(figures["accuracy"]["mean"]) == ["1"]
        assert 0 <= figures["accuracy"]["mean"]["1"] <= 1
        assert figures["accuracy"]["ci95"]["1"] >= 0
        assert 0 <= average["calibration_error"][norm] <= 1
    # Shown again, it is told as well.
    tiny_recipe.add(monkeypatch)
    assert main(["train", tiny_recipe.NAME, "--run-dir", str(budget_run)]) == 0
    told = capsys.readouterr().err
    assert "finished after 6 outer steps" in told
    line = next(line for line in told.splitlines() if "average of the 5 best checkpoints" in line)
    assert " transductive, " in line
    assert line.endswith(" inductive")


def test_a_lost_checkpoint_costs_the_average_alone(budget_run, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    shutil.copytree(budget_run, run)
    (run / "summary.json").unlink()
    next((run / "top").iterdir()).unlink()
    tiny_recipe.add(monkeypatch)
    tiny_recipe.draw_nothing(monkeypatch)
    assert main(["train", tiny_recipe.NAME, "--run-dir", str(run)]) == 0
    assert "the average of the best checkpoints is left out" in capsys.readouterr().err
    summary = json.loads((run / "summary.json").read_text())
    assert summary["models"] == 1
    assert not summary.get("average")


def test_without_batch_norm_the_average_has_no_norm():
    config = find_recipe("omniglot-5way-1shot").config
    figures = {"accuracy": {"mean": {"1": 0.9}, "ci95": {"1": 0.01}}}
    average = {"models": 2, "outer_steps": [5, 3], "norms": {"transductive": figures}}
    (line,) = average_lines(replace(config, model_norm="group"), average)
    assert line.endswith("after outer steps 3, 5): accuracy 90.0% ± 1.0%")
    (line,) = average_lines(replace(config, model_norm="batch"), average)
    assert line.endswith("accuracy 90.0% ± 1.0% transductive")


def test_a_summary_tells_how_it_was_trained(budget_run):
    summary = json.loads((budget_run / "summary.json").read_text())
    assert summary["outer_steps"] == 6
    assert summary["wall_seconds"] >= summary["training_seconds"] > 0
    assert summary["trained_on"]["ranks"] == 1
    assert summary["trained_on"]["processor"]
    assert summary["protocol"].startswith("3 test tasks of glyphs, 5-way 1-shot 1-query; mean ±")
