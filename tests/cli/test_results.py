"""The final test of a run, and what is written down afterwards."""

import json
import shutil

import pytest
from PIL import Image

from fewstep.cli import main, results
from tests.cli.shared import SHORT

TRAIN = [
    *("train", "sinusoid", "--steps", "1", "--val-tasks", "2", "--test-tasks", "3"),
    *("--inner-lr", "3", "--outer-lr", "1e-9", "--meta-batch", "2"),
]


@pytest.mark.parametrize("again", [False, True], ids=["removed", "begun again"])
def test_a_directory_that_goes_during_the_final_test(again, tmp_path, capsys, monkeypatch):
    run, evaluate_tasks = tmp_path / "run", results.evaluate_tasks

    def removed(*given):
        shutil.rmtree(run)
        if again:
            monkeypatch.setattr(results, "evaluate_tasks", evaluate_tasks)
            assert main([*SHORT, "--seed", "1", "--run-dir", str(run)]) == 0
            (run / "summary.json").unlink()
        return evaluate_tasks(*given)

    monkeypatch.setattr(results, "evaluate_tasks", removed)
    assert main([*SHORT, "--run-dir", str(run)]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert ("holds another run by now" if again else "best.safetensors does not exist") in told
    assert run.exists() == again
    assert not (run / "summary.json").exists()


def test_the_final_test_says_so_too(tmp_path, capsys, monkeypatch):
    from fewstep.cli import results

    evaluated = results.evaluate_tasks

    def diverging(*arguments):
        result = evaluated(*arguments)
        result.losses[2, 1] = float("inf")
        return result

    monkeypatch.setattr(results, "evaluate_tasks", diverging)
    folder = tmp_path / "run"
    assert main([*TRAIN, "--test-inner-steps", "1", "--run-dir", str(folder)]) == 0
    assert "the loss of test task 2 is not finite after 1 inner steps" in capsys.readouterr().err
    told = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert told["diverged"] == {"task": 2, "inner_step": 1}


def test_each_run_draws_its_curve_and_a_task(glyph_runs):
    for run in glyph_runs.iterdir():
        for name in ("adaptation.png", "task.png"):
            with Image.open(run / name) as picture:
                assert min(picture.size) > 300


def test_a_diagnosis_is_told_and_kept(glyph_runs, capsys):
    assert main(["evaluate", str(glyph_runs / "maml"), "--tasks", "3", "--json"]) == 0
    kept = json.loads((glyph_runs / "maml" / "summary.json").read_text())["diagnosis"]
    assert json.loads(capsys.readouterr().out)["diagnosis"] == kept
    assert kept["tasks"] == 3
    assert kept["gradient_norm"] > 0
    assert kept["support_loss_after"] < kept["support_loss_before"]
    assert main(["evaluate", str(glyph_runs / "maml"), "--tasks", "3"]) == 0
    told = capsys.readouterr().out
    assert told.count("diagnosis: ") == max(len(kept["findings"]), 1)
    assert all(sentence in told for sentence in kept["findings"])
