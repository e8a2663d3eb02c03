"""`fewstep train`: every algorithm, what a run directory holds, and what is refused."""

import json
import re
import shlex
import shutil
import sys
from dataclasses import fields

import pytest

from fewstep.cli import main
from fewstep.cli.train import _options
from fewstep.config.recipes import RECIPES, with_algorithm, with_budget
from fewstep.config.schema import Config
from tests.cli.own_pictures import write_classes
from tests.cli.shared import SHORT, SMALL, TINY, refused


def test_a_run_directory_holds_what_it_promises(run_dir):
    names = {path.name for path in run_dir.iterdir()}
    assert names == {
        "config.json",
        "data.json",
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


def test_too_many_ways(tmp_path, capsys):
    given = ["train", "glyphs-5way-1shot", "--run-dir", str(tmp_path / "run"), "--n-way", "5000"]
    assert main(given) == 2
    assert "n_way is 5000, but the train split has" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_compiled_is_told_once(tmp_path, capsys):
    shots = ["--test-k-shot", "10", "--compile"]
    assert main([*SMALL, *shots, "--run-dir", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().err
    assert told.count("compiling for support sets of [10, 1]: once, up to a minute") == 1
    assert told.count("compiling for query sets of") == 1
    assert told.count("compiled in") == 2


BRIEF = ["--steps", "2", "--val-tasks", "2", "--test-tasks", "3", "--meta-batch", "2"]


NARROW = ["--filters", "4", "--q-query", "2"]
FEWER = ["--inner-steps", "3", "--test-inner-steps", "2"]


@pytest.mark.parametrize(
    ("algorithm", "steps"),
    [("reptile", FEWER), ("imaml", FEWER), ("protomaml", FEWER), ("protonet", [])],
)
def test_an_algorithm_trains_and_is_evaluated(algorithm, steps, tmp_path, capsys):
    run = str(tmp_path / "run")
    given = ["train", "--algorithm", algorithm, *BRIEF, *NARROW, *steps]
    assert main([*given, "--run-dir", run]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "--tasks", "2", "--inner-steps", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["algorithm"] == algorithm
    assert set(told["accuracy"]) == {"0", "1", "2"}


def test_prototypes_beside_random_weights_for_more_classes(tmp_path, capsys):
    run = str(tmp_path / "run")
    given = ["--algorithm", "protomaml", "--test-n-way", "7", *BRIEF, *NARROW, *FEWER]
    assert main(["train", *given, "--run-dir", run]) == 0
    capsys.readouterr()
    picture = ["--picture", str(tmp_path / "comparison.png")]
    assert main(["compare", run, "--tasks", "2", "--inner-steps", "1", *picture]) == 0
    out = capsys.readouterr().out
    assert "random" in out
    assert "7-way" in out


def test_implicit_maml_with_batch_norm(tmp_path, capsys):
    given = ["--algorithm", "imaml", "--model-norm", "batch", "--run-dir", str(tmp_path / "run")]
    assert main(["train", *given]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "implicit MAML with batch norm '0.1' in training mode" in told
    assert "--model-norm group" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("algorithm", ["reptile", "imaml", "protomaml", "protonet", "finetune"])
@pytest.mark.parametrize(
    ("setting", "given"),
    [("compile", ["--compile"]), ("step_sizes", ["--step-sizes", "per-step"])],
)
def test_settings_of_maml_alone(algorithm, setting, given, tmp_path, capsys):
    given = ["--algorithm", algorithm, *given, "--run-dir", str(tmp_path / "run")]
    assert main(["train", *given]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"with algorithm {algorithm}, which has no such setting; leave {setting} out" in told
    assert not (tmp_path / "run").exists()


def test_tensorboard_is_a_file(tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*SHORT, "--run-dir", str(run)]) == 0
    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").write_text("x")
    capsys.readouterr()
    assert main([*SHORT, "--steps", "4", "--run-dir", str(run)]) == 2
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


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_a_checkpoint_of_another_run(name, runs, run, capsys):
    shutil.copy(runs / "1" / name, run / name)
    told = refused([*SHORT, "--steps", "4", "--run-dir", str(run)], capsys)
    assert f"{name} is of a run of other settings than config.json beside it" in told
    if name.startswith("best"):
        for command in ("evaluate", "compare"):
            assert "is of a run of other settings" in refused([command, str(run)], capsys)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["sinusoid", "--outer-lr", "1e38"], "outer_lr is 1e+38; expected more than 0 and at m"),
        (["sinusoid", "--inner-lr", "1e31"], "inner_lr is 1e+31; expected"),
        (["glyphs-5way-1shot", "--n-way", "1"], "n_way is 1; expected 2 or more, as in --n-way 5"),
    ],
)
def test_flags_out_of_range(flags, told, tmp_path, capsys):
    assert told in refused(["train", *flags, "--run-dir", str(tmp_path / "run")], capsys)
    assert not (tmp_path / "run").exists()


def test_doubled_lines_of_metrics(run, capsys):
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(2 * lines))
    assert main([*SHORT, "--steps", "4", "--run-dir", str(run)]) == 0
    assert "lacks" not in capsys.readouterr().err
    metrics.write_text("".join(2 * lines[1:]))
    assert main([*SHORT, "--steps", "6", "--run-dir", str(run)]) == 0
    assert "lacks 3 of the 4 outer steps done" in capsys.readouterr().err


def test_a_single_task_has_no_interval(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main([*SHORT, "--val-tasks", "1", "--test-tasks", "1", "--run-dir", run]) == 0
    out, err = capsys.readouterr()
    assert "validation mse" in err
    assert "nan" not in out
    assert "nan" not in err


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_flags_that_are_not_finite(value, capsys):
    assert main(["train", "sinusoid", "--inner-lr", value]) == 2
    assert f"inner_lr is {value}; expected a finite number" in capsys.readouterr().err


@pytest.mark.omniglot
def test_omniglot(data_dir, tmp_path, monkeypatch, capsys):
    run = str(tmp_path / "run")
    monkeypatch.delenv("FEWSTEP_DATA", raising=False)
    (tmp_path / "here").symlink_to(data_dir.resolve(), target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    given = ["train", "omniglot-5way-1shot", "--budget", "paper", *TINY, "--data-dir", "here"]
    assert main([*given, "--run-dir", run]) == 0
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told["recipe"] == "omniglot-5way-1shot"
    assert set(told["accuracy"]) == {"0", "1", "2", "3"}
    # The run remembers where its data were, from wherever it is evaluated.
    monkeypatch.chdir("/")
    assert main(["evaluate", run, "--tasks", "2"]) == 0
    (tmp_path / "here").rename(tmp_path / "there")
    assert "here, which is not there any more; give its" in refused(["evaluate", run], capsys)
    assert main(["evaluate", run, "--tasks", "2", "--data-dir", str(tmp_path / "there")]) == 0


GROUPS = ("tasks", "network", "adaptation", "outer-loop", "evaluation", "machine", "specialist")


def test_a_budget_of_data_that_have_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "drawings", 1)
    (tmp_path / "exams.csv").write_text("school,score\na,1\n")
    for words in (["drawings"], ["exams.csv"], ["glyphs-5way-1shot"], []):
        told = refused(["train", *words, "--budget", "paper"], capsys)
        assert "has one schedule alone; leave budget out" in told
    told = refused(["train", "omniglot-5way-1shot", "--budget", "slow"], capsys)
    assert "'slow'" in told
    assert not (tmp_path / "runs").exists()


def test_a_budget_is_told_by_the_config_and_the_folder():
    options, _ = _options(["omniglot-20way-1shot", "--budget", "paper", "--algorithm", "maml++"])
    assert options.config == with_algorithm(
        with_budget(RECIPES["omniglot-20way-1shot"].config, "paper"), "maml++"
    )
    assert options.kept_in.name == "omniglot-20way-1shot-maml++-paper-seed0"
    options, _ = _options(["omniglot-5way-5shot", "--seed", "3", "--steps", "70"])
    assert (options.config.budget, options.config.steps) == ("fast", 70)
    assert options.kept_in.name == "omniglot-5way-5shot-maml-fast-seed3"
    assert _options(["sinusoid"])[0].kept_in.name == "sinusoid-maml-seed0"


def test_sizes_that_are_given_to_a_budget_are_tested_too():
    def sizes(*flags):
        config = _options(["omniglot-5way-5shot", *flags])[0].config
        return config.n_way, config.ways("test"), config.k_shot, config.shots("test")[0]

    assert sizes() == (60, 5, 1, 5)
    assert sizes("--n-way", "10") == (10, 10, 1, 5)
    assert sizes("--n-way=10", "--test-n-way", "5", "--k-shot", "2") == (10, 5, 2, 2)


def test_help_comes_in_groups(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["train", "sinusoid", "--help"])
    told = capsys.readouterr().out
    places = [told.index(f" {group} options ") for group in GROUPS]
    assert places == sorted(places)
    assert "{None}" not in told
    assert told.index("--run-dir PATH") < told.index("--data-dir PATH")
    assert "(1 or more; default: 70000)" in told
    for field in fields(Config):
        assert (
            field.name in ("recipe", "folder", "table")
            or f"--{field.name.replace('_', '-')}" in told
        )


def test_a_budget_that_is_none(capsys):
    told = refused(["train", "omniglot-5way-1shot", "--budget", "papr"], capsys)
    assert "'papr' for argument '--budget'. Expected one of ('fast', 'paper') (" in told


def test_the_default_recipe_is_named(tmp_path, capsys):
    taken = tmp_path / "run"
    (taken / "config.json").mkdir(parents=True)
    assert main(["train", "--steps", "1", "--run-dir", str(taken)]) == 2
    assert "no recipe given, so glyphs-5way-1shot" in capsys.readouterr().err


def test_a_finished_run_says_so(run, capsys, monkeypatch):
    assert main([*SHORT, "--run-dir", str(run)]) == 0
    monkeypatch.setattr("fewstep.data.registry.task_sources", lambda _: pytest.fail("trains"))
    assert main([*SHORT, "--run-dir", str(run)]) == 0
    out, err = capsys.readouterr()
    line = r"^finished after 2 outer steps; mse [\d.]+ after 1 inner step; more:"
    assert re.search(line, err, re.MULTILINE)
    assert "; more: --steps 4\n" in err
    first, again = out.split("mse after inner steps")[1:]
    assert first.strip() == again.strip()


@pytest.mark.parametrize(
    ("flags", "finished"),
    [
        ([], True),
        (["--workers", "1", "--checkpoint-every", "7"], True),
        (["--test-tasks", "4"], False),
        (["--patience", "5", "--steps", "3"], False),
    ],
)
def test_settings_that_decide_no_training_go_on(flags, finished, run, capsys):
    assert main([*SHORT, *flags, "--run-dir", str(run)]) == 0
    assert ("finished after 2 outer steps" in capsys.readouterr().err) == finished


@pytest.mark.parametrize("flags", [["--inner-lr", "0.5"], ["--test-k-shot", "2"]])
def test_settings_that_decide_the_training_do_not(flags, run, capsys):
    told = refused([*SHORT, *flags, "--run-dir", str(run)], capsys)
    assert f"holds a run with {flags[0][2:].replace('-', '_')} = " in told


@pytest.mark.parametrize("name", ["summary.json", "adaptation.png"])
def test_a_test_that_lacks_a_file_is_done_again(name, run):
    (run / name).unlink()
    assert main([*SHORT, "--run-dir", str(run)]) == 0
    assert (run / name).exists()


@pytest.mark.parametrize(
    "damage",
    [
        {"diagnosis": None},
        {"diagnosis": {"findings": "abc"}},
        {"diagnosis": {"findings": [None, 3]}},
        {"norms": {}},
        {"norms": {"transductive": {"mse": {"mean": {"a": 1}, "ci95": {"a": 1}}}}},
    ],
    ids=["no diagnosis", "text", "no text", "no norm", "no steps"],
)
def test_a_test_whose_summary_is_damaged_is_done_again(damage, run, capsys):
    whole = (run / "summary.json").read_text()
    (run / "summary.json").write_text(json.dumps({**json.loads(whole), **damage}))
    assert main([*SHORT, "--run-dir", str(run)]) == 0
    assert "finished after" not in capsys.readouterr().err
    told = json.loads((run / "summary.json").read_text())
    assert told["norms"] == json.loads(whole)["norms"]


@pytest.mark.parametrize("columns", ["1", "4"])
def test_help_in_few_columns(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "--inner-steps" in capsys.readouterr().out


def test_a_data_folder_that_is_gone_and_not_needed(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FEWSTEP_DATA", str(tmp_path / "gone"))
    assert main([*SHORT, "--run-dir", str(tmp_path / "run")]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--tasks", "2"]) == 0
    told = refused(["train", "omniglot-5way-1shot", "--run-dir", str(tmp_path / "more")], capsys)
    assert f"the data folder {tmp_path / 'gone'} does not exist; give the folder that" in told


def test_the_command_is_the_one_that_was_given(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["pytest", "of", "others"])
    given = [*SHORT, "--run-dir", str(tmp_path / "a run")]
    assert main(given) == 0
    told = json.loads((tmp_path / "a run" / "summary.json").read_text())
    assert shlex.split(told["command"]) == ["fewstep", *given]
