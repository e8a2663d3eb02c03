"""`fewstep train ... --search N --seeds N`."""

import json
import shlex
from pathlib import Path

import pytest

from fewstep.cli import main
from fewstep.training import search as trials
from tests.cli.shared import SMALL, refused
from tests.tables import lines


def test_a_search_then_seeds_with_what_was_best(tmp_path, capsys):
    run = tmp_path / "run"
    command = [
        *SMALL,
        "--search",
        "3",
        "--seeds=2",
        "--inner-lr=0.02",
        "--test-inner-steps=1",
        "--run-dir",
        str(run),
    ]
    assert main(command) == 0
    out, err = capsys.readouterr()
    told = json.loads((run / "search" / "trials.json").read_text())
    scores = [trial["score"] for trial in told["trials"]]
    assert len(scores) == 3
    assert told["best"] == scores.index(min(scores))
    chosen = told["trials"][told["chosen"]]["changes"]
    assert "inner_lr" not in chosen
    assert out.count("best") == 1
    # The command that is told trains the same.
    line = next(line for line in err.splitlines() if line.startswith("chosen: "))
    words = shlex.split(line.partition(": fewstep ")[2])
    assert "--search" not in words
    assert "--seeds=2" in words
    words.remove("--seeds=2")
    assert main([*words, "--run-dir", str(tmp_path / "again")]) == 0
    found = [
        json.loads((folder / "summary.json").read_text())["mse"]
        for folder in (tmp_path / "again", run / "seed0")
    ]
    assert found[0] == found[1]
    whole = json.loads((run / "seeds.json").read_text())
    assert whole["seeds"] == [0, 1]
    assert len(set(whole["scores"])) == 2
    assert f"mse {whole['mean']:#.3g}, mean of 2 seeds (" in out
    assert f"standard deviation {whole['standard_deviation']:#.3g} over 2 seeds" in out
    assert "±" not in next(line for line in out.splitlines() if "mean of 2 seeds" in line)
    for command, *more in (
        ["adapt", "--support", "x"],
        ["evaluate"],
        ["compare"],
        ["predict", "-"],
    ):
        told = refused([command, str(run), *more], capsys)
        assert f"holds runs of several seeds; name one, as in {run / 'seed0'}" in told
    for seed in (0, 1):
        config = json.loads((run / f"seed{seed}" / "config.json").read_text())
        assert config["seed"] == seed
        assert {n: config[n] for n in chosen} == chosen


def test_a_search_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trials, "SPACE", {"inner_lr": (0.02,)})
    command = [*SMALL, "--search", "2", "--run-dir", str(tmp_path / "run")]
    assert main(command) == 0
    before = capsys.readouterr()
    weights = (tmp_path / "run" / "best.safetensors").read_bytes()
    (tmp_path / "run" / "search" / "trials.json").unlink()
    monkeypatch.setattr("fewstep.training.loop.OuterLoop._take_steps", None)
    assert main(command) == 0
    after = capsys.readouterr()
    assert after.out == before.out
    assert "finished after 4 outer steps" in after.err
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == weights


def test_a_trial_that_diverges_is_told_and_passed_over(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trials, "SPACE", {"inner_lr": (1e12,)})
    command = [*SMALL, "--search", "2", "--run-dir", str(tmp_path / "run")]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "trial 2 diverged" in told.err
    assert "diverged" in told.out
    kept = json.loads((tmp_path / "run" / "search" / "trials.json").read_text())
    assert kept["best"] == 0
    assert kept["trials"][1]["score"] is None


def test_a_folder_of_another_run_is_refused(run_dir, tmp_path, capsys):
    command = [*SMALL, "--search", "2", "--run-dir", str(run_dir)]
    assert "holds a training without --search" in refused(command, capsys)
    assert not (run_dir / "search").exists()
    (tmp_path / "notes.txt").touch()
    command[-1] = str(tmp_path)
    assert "exists and is no run directory" in refused(command, capsys)
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("flag", ["--search", "--seeds"])
def test_a_number_that_makes_no_sense(flag, tmp_path, capsys):
    command = [*SMALL, flag, "-1", "--run-dir", str(tmp_path / "run")]
    assert flag.strip("-") in refused(command, capsys)


def test_nothing_to_search_over(tmp_path, capsys):
    given = ["--layers", "1", "--width", "8", "--inner-lr", "0.1", "--inner-steps", "1"]
    command = [*SMALL, *given, "--outer-lr", "0.01", "--search", "2"]
    told = refused([*command, "--run-dir", str(tmp_path / "run")], capsys)
    assert "every setting that a search varies is given" in told


def test_a_table_is_described_once_for_all_seeds(table_runs, tmp_path, capsys):
    given = ["train", str(table_runs / "exams.csv"), "--task", "school", "--target", "score"]
    given += ["--steps", "1", "--val-tasks", "2", "--test-tasks", "3", "--meta-batch", "2"]
    assert main([*given, "--seeds", "2", "--run-dir", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err.count("rows a task") == 1


def test_seeds_of_a_table_share_its_split(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines().to_csv("sites.csv", index=False)
    few = ["--steps", "2", "--val-every", "1", "--val-tasks", "4", "--test-tasks", "8"]
    command = ["train", "sites.csv", "--task", "site", "--target", "level", *few]
    assert main([*command, "--search", "2", "--seeds", "2", "--run-dir", "run"]) == 0
    told = json.loads(Path("run/search/trials.json").read_text())
    assert len(told["trials"]) == 2
    splits = [Path(f"run/seed{seed}/split.json").read_text() for seed in (0, 1)]
    assert splits[0] == splits[1] == Path("run/search/trial0/split.json").read_text()
    assert main([*command, "--seed", "1", "--run-dir", "alone"]) == 0
    assert Path("alone/split.json").read_text() != splits[1]
