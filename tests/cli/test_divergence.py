"""An evaluation that diverges says so, in words and in JSON."""

import json

import pytest

from fewstep.cli import main

TRAIN = [
    *("train", "sinusoid", "--steps", "1", "--val-tasks", "2", "--test-tasks", "3"),
    *("--inner-lr", "3", "--outer-lr", "1e-9", "--meta-batch", "2"),
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "wild"
    assert main([*TRAIN, "--test-inner-steps", "1", "--run-dir", str(folder)]) == 0
    assert json.loads((folder / "summary.json").read_text())["diverged"] is None
    return folder


def test_evaluate_names_task_and_inner_step(run_dir, capsys):
    evaluate = ["evaluate", str(run_dir), "--tasks", "3", "--inner-steps", "60"]
    assert main([*evaluate, "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out, parse_constant=pytest.fail)
    task, step = told["diverged"]["task"], told["diverged"]["inner_step"]
    assert told["mse"][str(step - 1)] is not None or task > 0
    assert told["mse"][str(step)] is None
    line = f"diverged: the loss of test task {task} is not finite after {step} inner steps"
    assert line in captured.err
    assert main(evaluate) == 0
    captured = capsys.readouterr()
    assert line in captured.err
    assert "the inner loop diverges" in captured.out
    assert "nothing is out of line" not in captured.out


def test_the_final_test_says_so_too(run_dir, tmp_path, capsys, monkeypatch):
    from fewstep.cli import judge

    evaluated = judge.evaluate_tasks

    def diverging(*arguments):
        result = evaluated(*arguments)
        result.losses[2, 1] = float("inf")
        return result

    monkeypatch.setattr(judge, "evaluate_tasks", diverging)
    folder = tmp_path / "run"
    assert main([*TRAIN, "--test-inner-steps", "1", "--run-dir", str(folder)]) == 0
    assert "the loss of test task 2 is not finite after 1 inner steps" in capsys.readouterr().err
    told = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert told["diverged"] == {"task": 2, "inner_step": 1}


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_flags_that_are_not_finite(value, capsys):
    assert main(["train", "sinusoid", "--inner-lr", value]) == 2
    assert f"inner_lr is {value}; expected a finite number" in capsys.readouterr().err
