"""The final test of a run, and what is written down afterwards."""

import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from fewstep.cli import main, results
from fewstep.training.runs import load_trained
from tests.cli.shared import SHORT, TINY

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
    assert "the loss of test task 2 is not finite after 1 inner step;" in capsys.readouterr().err
    told = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    assert told["diverged"] == {"task": 2, "inner_step": 1}


def test_each_run_draws_its_curve_and_a_task(glyph_runs):
    for run in glyph_runs.iterdir():
        for name in ("adaptation.png", "reliability.png", "task.png"):
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


def test_the_calibration_of_a_run_is_told_and_kept(glyph_runs, capsys):
    run = glyph_runs / "maml"
    kept = json.loads((run / "calibration.json").read_text())
    assert list(kept) == [
        *("temperature", "threshold", "norm", "steps", "tasks", "ece_before", "ece_after"),
        *("known_kept", "absent_refused"),
    ]
    assert (kept["norm"], kept["steps"], kept["tasks"]) == ("inductive", 3, 3)
    assert 0.2 <= kept["threshold"] <= 1
    told = json.loads((run / "summary.json").read_text())["calibration"]
    assert list(told) == ["transductive", "inductive"]
    inductive = told["inductive"]
    assert inductive["temperature"] == pytest.approx(kept["temperature"], rel=1e-5)
    assert inductive["absent_refused"] == kept["absent_refused"]
    assert inductive["predictions"] == 3 * 5 * 2
    # Of other classes than those that the temperature is chosen on.
    assert inductive["ece_before"] != kept["ece_before"]
    assert main(["evaluate", str(run), "--tasks", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibration"] == told
    assert main(["evaluate", str(run), "--tasks", "3"]) == 0
    assert capsys.readouterr().out.count("calibration, inductive: expected error ") == 1


def test_no_test_task_decides_on_the_calibration(glyph_runs):
    from fewstep.training import calibrate
    from fewstep.training.runs import load_run

    run = load_run(glyph_runs / "maml", None, "cpu")
    validation = {"val": run.tasks["val"]}
    both, one = (
        calibrate.choose_on_validation(of, 3, 2, "transductive")
        for of in (run, replace(run, tasks=validation))
    )
    for norm, found in both.items():
        assert replace(found, bins=None) == replace(one[norm], bins=None)


@pytest.fixture
def calibrated_run(glyph_runs, tmp_path):
    return shutil.copytree(glyph_runs / "maml", tmp_path / "run")


class Killed(BaseException):
    pass


AGAIN = ["train", "glyphs-5way-1shot", "--algorithm", "maml", *TINY]


def test_a_run_that_goes_on_has_another_calibration(calibrated_run, monkeypatch):
    file = calibrated_run / "calibration.json"
    file.write_text('{"temperature": 7.0}')
    more = [*AGAIN, "--steps", "6", "--run-dir", str(calibrated_run)]

    def killed(_):
        raise Killed

    # The old one must not stand beside another initialisation.
    with monkeypatch.context() as patch:
        patch.setattr("fewstep.training.loop.OuterLoop.run", killed)
        with pytest.raises(Killed):
            main(more)
    assert not file.exists()
    trained = load_trained(calibrated_run, "cpu")
    assert (trained.temperature, trained.threshold) == (1.0, None)
    assert main(more) == 0
    kept = json.loads(file.read_text())
    assert kept["temperature"] != 7
    trained = load_trained(calibrated_run, "cpu")
    assert (trained.temperature, trained.threshold) == (kept["temperature"], kept["threshold"])


def test_a_finished_run_of_before_is_shown(calibrated_run, capsys):
    """An earlier version knew no calibration."""
    summary = calibrated_run / "summary.json"
    told = json.loads(summary.read_text())
    del told["calibration"]
    summary.write_text(json.dumps(told))
    for name in ("calibration.json", "reliability.png"):
        (calibrated_run / name).unlink()
    assert main([*AGAIN, "--run-dir", str(calibrated_run)]) == 0
    out, err = capsys.readouterr()
    assert "finished after 3 outer steps" in err
    assert "calibration" not in out + err
    assert load_trained(calibrated_run, "cpu").temperature == 1.0


def test_a_finished_run_shows_its_calibration(calibrated_run, capsys):
    assert main([*AGAIN, "--run-dir", str(calibrated_run)]) == 0
    told = capsys.readouterr().err
    assert "finished after 3 outer steps" in told
    assert "calibration, inductive: expected error" in told
    assert "none of these: below a probability of" in told
    assert "reliability.png" in told


def test_a_calibration_that_is_gone_is_made_again(calibrated_run, capsys):
    before = (calibrated_run / "calibration.json").read_text()
    (calibrated_run / "calibration.json").unlink()
    assert main([*AGAIN, "--run-dir", str(calibrated_run)]) == 0
    assert (calibrated_run / "calibration.json").read_text() == before
