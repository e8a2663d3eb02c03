"""Run directories that are removed, replaced or spoiled by others."""

import json
import shutil

import pytest

from fewstep.cli import judge, main

RUN = ["train", "sinusoid", "--steps", "2", "--val-tasks", "2", "--test-tasks", "3"]
SMALL = [*RUN, "--meta-batch", "2", "--test-inner-steps", "1"]


@pytest.mark.parametrize("again", [False, True], ids=["removed", "begun again"])
def test_a_directory_that_goes_during_the_final_test(again, tmp_path, capsys, monkeypatch):
    run, evaluate_tasks = tmp_path / "run", judge.evaluate_tasks

    def removed(*given):
        shutil.rmtree(run)
        if again:
            monkeypatch.setattr(judge, "evaluate_tasks", evaluate_tasks)
            assert main([*SMALL, "--seed", "1", "--run-dir", str(run)]) == 0
            (run / "summary.json").unlink()
        return evaluate_tasks(*given)

    monkeypatch.setattr(judge, "evaluate_tasks", removed)
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of the same recipe by other settings."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        given = ["--seed", str(seed), "--run-dir", str(folder / str(seed))]
        assert main([*SMALL, *given]) == 0
    return folder


@pytest.fixture
def run(runs, tmp_path):
    """A run to spoil."""
    return shutil.copytree(runs / "0", tmp_path / "run")


def refused(arguments, capsys):
    """The one line of a refusal."""
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return next(line for line in err.splitlines() if line.startswith("fewstep: error: "))


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_a_checkpoint_of_another_run(name, runs, run, capsys):
    shutil.copy(runs / "1" / name, run / name)
    told = refused([*SMALL, "--steps", "4", "--run-dir", str(run)], capsys)
    assert f"{name} is of a run of other settings than config.json beside it" in told
    if name.startswith("best"):
        for command in ("evaluate", "compare"):
            assert "is of a run of other settings" in refused([command, str(run)], capsys)


def test_settings_that_decide_no_training_may_change(run):
    config = json.loads((run / "config.json").read_text())
    changed = {"test_tasks": 5, "workers": 1, "outer_lr": config["outer_lr"], "steps": 9}
    (run / "config.json").write_text(json.dumps(config | changed))
    assert main(["evaluate", str(run), "--tasks", "2", "--inner-steps", "1"]) == 0


@pytest.mark.parametrize("value", ['"long"', "[1]", "{}", "1" + "0" * 399, "NaN", "null"])
def test_a_gradient_norm_that_is_no_number(value, run, capsys):
    metrics = run / "metrics.jsonl"
    line = f'{{"step": 1, "train/loss": 1.0, "train/gradient_norm": {value}}}\n'
    metrics.write_text(line)
    capsys.readouterr()
    assert main(["evaluate", str(run), "--tasks", "2", "--inner-steps", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["diagnosis"]["gradient_norm"] is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("inner_lr", 10**400, "inner_lr has 401 digits; expected at most 2**63"),
        ("steps", -(10**30), "steps has 31 digits"),
        ("filters", 2**62, "filters is 4611686018427387904; expected at most 1048576"),
        ("context", 2**40, "context is 1099511627776; expected at most"),
        ("test_k_shot", 2**40, "test_k_shot is 1099511627776; expected at most"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_huge_numbers_in_the_config(name, value, told, run, capsys):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {name: value}))
    assert told in refused(["evaluate", str(run)], capsys)


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


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_picture_that_cannot_be_drawn_costs_no_table(flag, run, tmp_path, capsys, monkeypatch):
    picture = tmp_path / "new" / "c.png"

    def full(path, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fewstep.report.curves.draw_curves", full)
    given = ["compare", str(run), "--tasks", "2", "--inner-steps", "1", "--picture", str(picture)]
    capsys.readouterr()
    assert main([*given, *flag]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["run"]["tasks"] == 2 if flag else "mse after inner steps" in out
    assert "picture:" not in out
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("run/best.safetensors", "is no PNG file by its name; expected one that ends .png"),
        ("run/config.json/c.png", "config.json); choose a folder that you may write to"),
        ("run/config.json/deep/c.png", "config.json); choose a folder that you may write to"),
    ],
)
def test_a_place_that_is_none_for_a_picture(place, told, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(judge, "evaluate_tasks", lambda *_: pytest.fail("judged first"))
    before = (run / "best.safetensors").read_bytes()
    assert told in refused(["compare", str(run), "--picture", str(tmp_path / place)], capsys)
    assert (run / "best.safetensors").read_bytes() == before


def test_doubled_lines_of_metrics(run, capsys):
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(2 * lines))
    assert main([*SMALL, "--steps", "4", "--run-dir", str(run)]) == 0
    assert "lacks" not in capsys.readouterr().err
    metrics.write_text("".join(2 * lines[1:]))
    assert main([*SMALL, "--steps", "6", "--run-dir", str(run)]) == 0
    assert "lacks 3 of the 4 outer steps done" in capsys.readouterr().err


def test_a_single_task_has_no_interval(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main([*SMALL, "--val-tasks", "1", "--test-tasks", "1", "--run-dir", run]) == 0
    out, err = capsys.readouterr()
    assert "validation mse" in err
    assert "nan" not in out
    assert "nan" not in err
