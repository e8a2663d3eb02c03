"""The command line as a user meets it."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from fewstep.cli import main

RUN = ["train", "sinusoid", "--steps", "4", "--val-every", "2", "--val-tasks", "4"]
SMALL = [*RUN, "--test-tasks", "6", "--meta-batch", "2"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sinusoid"
    assert main([*SMALL, "--run-dir", str(folder)]) == 0
    return folder


def test_a_run_directory_holds_what_it_promises(run_dir):
    names = {path.name for path in run_dir.iterdir()}
    assert names == {
        "config.json",
        "versions.json",
        "metrics.jsonl",
        "tensorboard",
        "last.safetensors",
        "best.safetensors",
        "summary.json",
        "adaptation.png",
    }
    told = json.loads((run_dir / "summary.json").read_text())
    assert told["recipe"] == "sinusoid"
    assert set(told["mse"]) == set(told["ci95"]) == {str(step) for step in range(11)}
    assert told["tasks"] == 6
    assert told["norm"] == "transductive"
    assert told["versions"]["torch"]
    assert told["training_seconds"] > 0
    assert (run_dir / "adaptation.png").read_bytes().startswith(b"\x89PNG")
    assert list((run_dir / "tensorboard").iterdir())


def test_evaluate_prints_one_json_object(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tasks"] == 5
    assert told["algorithm"] == "maml"
    assert told["seed"] == 0
    assert told["mse"]["10"] > 0


def test_evaluate_gives_the_figures_of_the_summary(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "6", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mse"] == json.loads((run_dir / "summary.json").read_text())["mse"]


def test_evaluate_prints_a_table_with_the_protocol(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "3", "--inner-steps", "1"]) == 0
    out = capsys.readouterr().out
    assert "mse after inner steps" in out
    assert "3 test tasks of sinusoid, 5-shot 100-query" in out


def test_compare_adds_a_random_start_and_draws(run_dir, tmp_path, capsys):
    picture = tmp_path / "c.png"
    given = ["compare", str(run_dir), "--tasks", "4", "--inner-steps", "2"]
    assert main([*given, "--picture", str(picture), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["sinusoid", "random"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_recipes_lists_them_all(capsys):
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    for name in ("glyphs-5way-1shot", "omniglot-5way-1shot", "omniglot-20way-5shot", "sinusoid"):
        assert name in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fly"], "unknown command 'fly'; expected one of recipes, train"),
        (["train", "omniglot-5way-1short"], "did you mean omniglot-5way-1shot?"),
        (["train", "chess"], "unknown recipe 'chess'; choose one of glyphs-5way-1shot"),
        (["train", "sinusoid", "--stepps", "3"], "Unrecognized options: --stepps"),
        (["train", "--seed", "3", "sinusoid"], "the recipe comes first: fewstep train sinusoid"),
        (["train", "sinusoid", "--steps", "few"], "invalid literal for int"),
        (["train", "sinusoid", "--algorithm", "mamla"], "invalid choice 'mamla'"),
        (["train", "sinusoid", "--meta-batch", "0"], "meta_batch is 0; expected 1 or more"),
        (["train", "--data-dir", "/no/such/folder"], "data folder /no/such/folder does not exist"),
        (["evaluate"], "Missing from fewstep evaluate: PATH A run directory"),
        (["evaluate", "/no/such/run"], "/no/such/run has no config.json; expected a run directory"),
        (["evaluate", ".", "--tasks", "0"], "tasks is 0; expected 1 or more"),
        (["evaluate", ".", "--inner-steps", "9" * 20], "inner_steps is 99999999999999999999; exp"),
        (["compare", ".", "--inner-steps", "10001"], "10001; expected 1 or more, at most 10000"),
        (["compare", ".", "--picture", "/"], "cannot write / (it is a folder); give the name of"),
        (["evaluate", "a\nb"], r"a\nb has no config.json"),
        (["compare"], "no run directory given"),
        (["recipes", "--long"], "Unrecognized options: --long"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, told, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_too_many_ways(tmp_path, capsys):
    given = ["train", "glyphs-5way-1shot", "--run-dir", str(tmp_path / "run"), "--n-way", "5000"]
    assert main(given) == 2
    assert "n_way is 5000, but the train split has" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_runs_on_different_tasks_are_not_compared(run_dir, tmp_path, capsys):
    other = tmp_path / "other"
    assert main([*SMALL, "--seed", "1", "--run-dir", str(other)]) == 0
    capsys.readouterr()
    assert main(["compare", str(run_dir), str(other)]) == 2
    assert "other has seed = 1 and sinusoid 0" in capsys.readouterr().err


def test_more_inner_steps_than_a_run_learned_something_for(run_dir, tmp_path, capsys):
    three, five = str(tmp_path / "three"), str(tmp_path / "five")
    plus = [*SMALL, "--algorithm", "maml++"]
    assert main([*plus, "--run-dir", five]) == 0
    fewer = ["--inner-steps", "3", "--test-inner-steps", "3"]
    assert main([*plus, *fewer, "--run-dir", three]) == 0
    for given, told in (
        (["compare", str(run_dir), five], "five learned step sizes or batch norm for each of 5"),
        (["compare", five], "cannot take 10; use --inner-steps 5"),
        (["compare", five, three], "use --inner-steps 3"),
        (["evaluate", five, "--inner-steps", "6"], "cannot take 6; use --inner-steps 5"),
    ):
        capsys.readouterr()
        assert main(given) == 2
        captured = capsys.readouterr()
        assert told in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""
    picture = ["--picture", str(tmp_path / "c.png"), "--tasks", "2"]
    assert main(["compare", str(run_dir), five, "--inner-steps", "5", *picture]) == 0


def test_runs_of_the_same_folder_name_are_told_apart(run_dir, tmp_path, capsys):
    other = tmp_path / run_dir.name
    shutil.copytree(run_dir, other)
    compare = ["compare", "--tasks", "2", "--json", "--picture", str(tmp_path / "c.png")]
    assert main([*compare, str(run_dir), str(other)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {str(run_dir.resolve()), str(other.resolve()), "random"}
    assert told["random"]["algorithm"] == "none"
    assert main([*compare, str(run_dir), str(run_dir)]) == 2
    assert "is given twice" in capsys.readouterr().err


def test_training_tasks_have_their_own_protocol(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "2", "--split", "train"]) == 0
    assert "2 train tasks of sinusoid, 10-shot 10-query" in capsys.readouterr().out


def test_the_last_inner_step_is_always_shown(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "2", "--inner-steps", "4"]) == 0
    heading = next(line for line in capsys.readouterr().out.splitlines() if "start" in line)
    assert heading.split() == ["start", "0", "1", "3", "4"]


def test_a_single_task_has_no_interval(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["ci95"]["1"] is None


def fastest(command):
    """Seconds of the fastest of a few runs: what the machine can do when it is not busy."""
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        best = min(best, time.monotonic() - began)
    return best


def test_help_comes_at_once_and_the_import_soon():
    fewstep = [sys.executable, "-m", "fewstep"]
    assert fastest([*fewstep, "--help"]) < 1
    assert fastest([*fewstep, "train", "--help"]) < 2
    # Almost all of it is PyTorch's own, which a slow machine may need longer for than the bar.
    pytorch = fastest([sys.executable, "-c", "import torch"])
    assert fastest([sys.executable, "-c", "from fewstep import MAML"]) < max(2.5, 1.3 * pytorch)


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "recipes"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: fewstep {command}" in capsys.readouterr().out


def test_what_is_compiled_is_told_once(tmp_path, capsys):
    shots = ["--test-k-shot", "10", "--compile"]
    assert main([*SMALL, *shots, "--run-dir", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().err
    assert told.count("compiling for support sets of [10, 1]: once, up to a minute") == 1
    assert told.count("compiling for query sets of") == 1
    assert told.count("compiled in") == 2
