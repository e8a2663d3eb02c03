"""Run directories that are removed, replaced or spoiled by others."""

import shutil

import pytest

from fewstep.cli import judge, main

RUN = ["train", "sinusoid", "--steps", "2", "--val-tasks", "2", "--test-tasks", "3"]
SMALL = [*RUN, "--meta-batch", "2", "--test-inner-steps", "1"]


@pytest.mark.parametrize("again", [False, True], ids=["removed", "begun again"])
def test_a_directory_that_goes_during_the_final_test(again, tmp_path, capsys, monkeypatch):
    run, judge_each = tmp_path / "run", judge.judge_each

    def removed(*given):
        shutil.rmtree(run)
        if again:
            monkeypatch.setattr(judge, "judge_each", judge_each)
            assert main([*SMALL, "--seed", "1", "--run-dir", str(run)]) == 0
            (run / "summary.json").unlink()
        return judge_each(*given)

    monkeypatch.setattr(judge, "judge_each", removed)
    assert main([*SMALL, "--run-dir", str(run)]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert ("holds another run by now" if again else "best.safetensors does not exist") in told
    assert run.exists() == again
    assert not (run / "summary.json").exists()


def test_tensorboard_is_a_file(tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*SMALL, "--run-dir", str(run)]) == 0
    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").write_text("x")
    capsys.readouterr()
    assert main([*SMALL, "--steps", "4", "--run-dir", str(run)]) == 2
    told = capsys.readouterr().err
    assert "tensorboard is no folder" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("flags", [["--run-dir", "sinusoid"], ["--data", "sinusoid"]])
def test_a_recipe_as_the_value_of_a_flag(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["train", *flags, "--steps", "0"])
    told = capsys.readouterr().err
    assert "the recipe comes first" not in told
    assert "steps is 0" in told
