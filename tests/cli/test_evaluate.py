"""`fewstep evaluate`: what it prints, and of which runs."""

import json
import os

import pytest

from fewstep.cli import main
from fewstep.data.glyphs import load_glyphs
from fewstep.training.lock import locked
from tests.cli.shared import refused


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


def test_training_tasks_have_their_own_protocol(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "2", "--split", "train"]) == 0
    assert "2 train tasks of sinusoid, 10-shot 10-query" in capsys.readouterr().out


def test_training_tasks_have_the_classes_of_training(budget_run, capsys):
    """A run may be tested in tasks of other numbers of classes than it is trained in."""
    capsys.readouterr()
    for split, ways in (("train", 7), ("val", 5)):
        given = ["evaluate", str(budget_run), "--tasks", "3", "--split", split, "--json"]
        assert main(given) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["n_way"], told["split"]) == (ways, split)


def test_the_last_inner_step_is_always_shown(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "2", "--inner-steps", "4"]) == 0
    heading = next(line for line in capsys.readouterr().out.splitlines() if "start" in line)
    assert heading.split() == ["start", "0", "1", "3", "4"]


def test_a_single_task_has_no_interval(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--tasks", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["ci95"]["1"] is None


TRAIN = [
    *("train", "sinusoid", "--steps", "1", "--val-tasks", "2", "--test-tasks", "3"),
    *("--inner-lr", "3", "--outer-lr", "1e-9", "--meta-batch", "2"),
]


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "wild"
    assert main([*TRAIN, "--test-inner-steps", "1", "--run-dir", str(folder)]) == 0
    assert json.loads((folder / "summary.json").read_text())["diverged"] is None
    return folder


def test_evaluate_names_task_and_inner_step(wild, capsys):
    evaluate = ["evaluate", str(wild), "--tasks", "3", "--inner-steps", "60"]
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


def test_a_pretrained_network_far_from_trained(glyph_runs, capsys):
    assert main(["evaluate", str(glyph_runs / "finetune"), "--tasks", "3"]) == 0
    assert "classes, where chance is 0.1%: the network is hardly trained" in capsys.readouterr().out
    assert main(["evaluate", str(glyph_runs / "maml"), "--tasks", "3"]) == 0
    assert "hardly trained" not in capsys.readouterr().out


def test_inductive_evaluation_is_another_number(glyph_runs, capsys):
    told = {}
    for norm in ("transductive", "inductive"):
        given = ["evaluate", str(glyph_runs / "maml"), "--tasks", "4", "--norm", norm, "--json"]
        assert main(given) == 0
        told[norm] = json.loads(capsys.readouterr().out)
        assert told[norm]["norm"] == norm
    assert told["transductive"]["loss"] != told["inductive"]["loss"]


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


def test_metrics_that_are_damaged_are_told(run, capsys):
    (run / "metrics.jsonl").write_text('{"step": 1, "train/loss": 1.0}\nnothing\n')
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"steps": 9}))
    capsys.readouterr()
    with locked(run):
        assert main(["evaluate", str(run), "--tasks", "2", "--inner-steps", "1"]) == 0
    out = capsys.readouterr().out
    assert "diagnosis: of the training nothing is known: " in out
    assert "metrics.jsonl has a line that is no metrics" in out
    assert f"the training is at 2 of 9 outer steps, and process {os.getpid()} on" in out
    assert "nothing is out of line" not in out


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


def test_tasks_of_another_size(glyph_runs, run_dir, capsys):
    sizes = ["--k-shot", "2", "--q-query", "3", "--seed", "5", "--tasks", "2"]
    assert main(["evaluate", str(glyph_runs / "maml"), *sizes]) == 0
    assert "2 test tasks of glyphs, 5-way 2-shot 3-query" in capsys.readouterr().out
    assert main(["evaluate", str(run_dir), *sizes, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["k_shot"], told["q_query"], told["seed"], told["tasks"]) == (2, 3, 5, 2)
    assert main(["evaluate", str(run_dir), "--tasks", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mse"] != told["mse"]


@pytest.mark.parametrize(("name", "n_way"), [("maml", 3), ("maml", 7), ("finetune", 3)])
def test_tasks_of_other_numbers_of_classes(name, n_way, glyph_runs, capsys):
    given = ["evaluate", str(glyph_runs / name), "--n-way", str(n_way), "--tasks", "2"]
    assert main(given) == 0
    out = capsys.readouterr().out
    assert f"2 test tasks of glyphs, {n_way}-way" in out
    assert out.splitlines()[-1].startswith("note: ")
    assert main([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n_way"] == n_way
    assert f"note: {told['note']}" in out


def test_the_ways_of_the_run_need_no_note(glyph_runs, capsys):
    given = ["evaluate", str(glyph_runs / "maml"), "--n-way", "5", "--tasks", "2"]
    assert main([*given, "--json"]) == 0
    assert "note" not in json.loads(capsys.readouterr().out)
    assert main(given) == 0
    assert "note: " not in capsys.readouterr().out


def test_more_classes_than_there_are(glyph_runs, run_dir, capsys):
    told = refused(["evaluate", str(glyph_runs / "maml"), "--n-way", "5000"], capsys)
    assert "n_way is 5000, but the" in told
    told = refused(["evaluate", str(run_dir), "--n-way", "3"], capsys)
    assert "n_way is given, and data sinusoid has no classes; leave it out" in told


@pytest.mark.parametrize("flags", [["--json"], []])
def test_evaluate_draws_the_reliability(flags, glyph_runs, tmp_path, capsys):
    picture = tmp_path / "new" / "r.png"
    given = ["evaluate", str(glyph_runs / "maml"), "--tasks", "2", "--picture", str(picture)]
    assert main([*given, *flags]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith("{") == bool(flags)


def test_no_reliability_of_a_regression(run_dir, tmp_path, capsys):
    picture = tmp_path / "r.png"
    told = refused(["evaluate", str(run_dir), "--picture", str(picture)], capsys)
    assert "as it is a regression" in told
    assert not picture.exists()
    assert "no PNG file" in refused(["evaluate", str(run_dir), "--picture", "r.jpg"], capsys)


def test_more_ways_than_validation_has(glyph_runs, tmp_path, capsys):
    """The test classes are enough: what validation would tell is left out."""
    counts = {split: len(images) for split, images in load_glyphs().items()}
    n_way = str(counts["val"] + 1)
    assert counts["val"] < min(counts["train"], counts["test"])
    given = ["evaluate", str(glyph_runs / "maml"), "--n-way", n_way, "--tasks", "1"]
    assert main(given) == 0
    assert f"diagnosis: left out, since n_way is {n_way}, but the val" in capsys.readouterr().out
    told = refused([*given, "--picture", str(tmp_path / "r.png")], capsys)
    assert f"n_way is {n_way}, but the val split has" in told
