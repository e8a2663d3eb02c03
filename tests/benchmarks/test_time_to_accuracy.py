"""Time to accuracy: the peer takes the same steps, trainings go on, points tell their time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.time_to_accuracy import __main__ as program
from benchmarks.time_to_accuracy import accuracy, peer, training
from benchmarks.time_to_accuracy.accuracy import first_at
from benchmarks.time_to_accuracy.contestants import Training, departures
from benchmarks.time_to_accuracy.page import BEGIN, END, draw, filled, table
from benchmarks.time_to_accuracy.points import MARKS, Point, chosen, progress_of, read
from fewstep.data.episodes import episodes
from fewstep.data.images import ImageClasses
from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress

SINUSOID = {"recipe": "sinusoid", "meta_batch": 2, "ema_decay": 0.9, "final_outer_lr": 1e-5}
PICTURES = {"filters": 4, "meta_batch": 1, "test_inner_steps": 1, "rotations": False, "n_way": 5}


@pytest.fixture
def noise(monkeypatch):
    """Pictures of noise in the place of all others."""

    def sources(config):
        pictures = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), np.uint8)
        classes = ImageClasses(pictures, tuple("abcde"), np.full(5, 4))
        config = replace(config, q_query=2)
        return episodes(dict.fromkeys(("train", "val", "test"), classes), config)

    for module in (peer, training, accuracy):
        monkeypatch.setattr(module, "task_sources", sources)


def last_point(run):
    return checkpoint.load(read(run)[-1].path)[0]


@pytest.mark.parametrize("name", ["MAML", "higher"])
def test_a_training_in_pieces_ends_as_one(tmp_path, name):
    if name == "higher":
        pytest.importorskip("higher")
    one = Training(name, 1, SINUSOID, 4)
    training.train(one, tmp_path / "whole", float("inf"))
    pieces = []
    while progress_of(tmp_path / "pieces").step < one.steps:
        training.train(one, tmp_path / "pieces", 0.0)
        pieces.append(progress_of(tmp_path / "pieces"))
    assert [done.step for done in pieces] == [1, 2, 3, 4]
    assert [point.step for point in read(tmp_path / "pieces")] == [1, 2, 3, 4]
    seconds = [point.seconds for point in read(tmp_path / "pieces")]
    assert seconds == sorted(seconds)
    whole, pieced = last_point(tmp_path / "whole"), last_point(tmp_path / "pieces")
    assert all(torch.equal(value, pieced[name]) for name, value in whole.items())


FAST = {"step_sizes": "per-step", "head_rows": "shared", "model_norm": "group"}


@pytest.mark.parametrize("own", [{"step_sizes": "fixed", "head_rows": "separate"}, FAST])
@pytest.mark.parametrize("first_order_share", [0.0, 0.5])
def test_the_peer_has_the_same_gradient_of_classes(noise, first_order_share, own):
    pytest.importorskip("higher")
    settings = {**PICTURES, "inner_steps": 2, "meta_batch": 2, **own}
    one = Training("higher", 1, {**settings, "first_order_share": first_order_share}, 4)
    assert peer.deviation(one.config) < 1e-10


def test_the_peer_takes_the_same_steps(tmp_path):
    pytest.importorskip("higher")
    one = Training("higher", 1, SINUSOID, 3)
    assert peer.deviation(one.config) < 1e-10
    ours = replace(one, name="MAML")
    for of in (one, ours):
        training.train(of, tmp_path / of.name, float("inf"))
    found, expected = (last_point(tmp_path / of.name) for of in (one, ours))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("device", "step", "setup"), [("cpu", 0.5, 0.0), ("cuda", 0.2, 9.0)])
def test_a_rate_is_that_of_trainings_of_two_lengths(monkeypatch, device, step, setup):
    seconds = iter([111.0, 11.0, 15.0])
    monkeypatch.setattr(training, "train", lambda of, run, limit: seen.append(of.steps))
    monkeypatch.setattr(training, "progress_of", lambda run: Progress(seconds=next(seconds)))
    seen = []
    found = training.rate(Training("MAML", 1, {"device": device}), 10)
    told = {"seconds_of_a_step": step, "setup_seconds": setup, "once_seconds": 100.0}
    assert found == told
    assert seen == [10, 10, 30]


def test_the_peer_leaves_out_what_its_loop_has_not():
    settings = {"inner_optimizer": "adam", "norm": "inductive"}
    told = departures(Training("higher", 1, settings))
    assert told == ["norm transductive, not inductive", "inner_optimizer sgd, not adam"]
    assert departures(Training("higher", 1, {})) == []


def test_points_are_taken_by_time_and_steps_by_a_rate():
    points = [Point(None, step, step**2 / 100) for step in range(1, 65)]
    of_marks = chosen(points, MARKS)
    assert [point.step for point in of_marks][:4] == [8, 11, 16, 23]
    assert len(of_marks) == len(MARKS)
    assert chosen(points[:1], MARKS) == points[:1]
    assert chosen([], MARKS) == []
    assert program.steps_in(60, {"seconds_of_a_step": 0.1, "setup_seconds": 10.0}) == 500
    assert program.steps_in(60, {"seconds_of_a_step": 0.1, "setup_seconds": 100.0}) == 1
    rows = [{"seconds": 1.0, "inductive": {"accuracy": 1.0}}]
    rows += [{"seconds": 2.0, "transductive": {"accuracy": 0.987}}]
    assert first_at(rows, 0.987) == 2.0
    assert first_at(rows, 0.99) is None


def test_trainings_are_evaluated_and_go_on(tmp_path, noise, monkeypatch, capsys):
    monkeypatch.setattr(program, "ask", lambda what: training.main(what))
    rates = {"MAML": {"seconds_of_a_step": 30.0, "setup_seconds": 0.0, "once_seconds": 0.0}}
    shared = {"recipe": "omniglot-5way-1shot", "device": "cpu", **PICTURES}
    plan = {"settings": shared, "rates": rates}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    given = [str(tmp_path), "--minutes", "1", "--contestants", "MAML", "--tasks", "4"]
    given += ["--set", *(f"{name}={json.dumps(value)}" for name, value in PICTURES.items())]
    told = program.main([*given, "--seconds", "0"])
    assert told["runs"][0]["points"] == []
    assert "| MAML | 1 planned | | | not run | | |" in capsys.readouterr().out
    told = program.main(given)
    (run,) = told["runs"]
    assert [row["step"] for row in run["points"]] == [1, 2]
    assert run["finished"]
    assert run["points"][-1].keys() >= {"transductive", "inductive", "seconds"}
    (file,) = tmp_path.glob("time_to_accuracy-*.json")
    assert json.loads(file.read_text())["runs"] == told["runs"]
    assert file.with_suffix(".md").read_text().count("\n| MAML | ") == 1
    with pytest.raises(SystemExit, match="choose another folder"):
        program.main([*given, "meta_batch=2"])


def told_of(*runs):
    others = {"machine": "one", "versions": {"torch": "2"}, "recipe": "r", "budget": "fast"}
    others |= {"command": "c", "tasks": 600, "inner_steps": 3, "seed": 0, "deviation": 1e-15}
    rates = {"A": {"once_seconds": 70.0}}
    return {**others, "rates": rates, "departures": [], "runs": list(runs)}


def test_the_page_tells_times_and_what_was_not_reached(tmp_path):
    def run(name, accuracy, steps=200):
        of = {"accuracy": accuracy, "ci95": 0.002}
        points = [{"step": 100, "seconds": 60.0, "transductive": {**of, "accuracy": 0.5}}]
        points += [{"step": 200, "seconds": 120.0, "transductive": of, "inductive": of}]
        return {"name": name, "minutes": 2, "steps": steps, "by_peer": False, "points": points}

    told = told_of(run("A", 0.999), run("B", 0.95, steps=400))
    assert "| A | 2.0 | 200 | 600 | 2.0 min | 99.90 ± 0.20 % | 99.90 ± 0.20 % |" in table(told)
    assert "| B | 2.0 of 2 planned | 200 | 600 | not reached | 95.00" in table(told)
    page = filled(f"a\n{BEGIN}\nwas there\n{END}\nb", told, "images/x.png")
    assert filled(page, told, "images/x.png") == page
    assert page.startswith("a\n")
    assert page.endswith("\nb")
    assert "was there" not in page
    assert "and is not counted: A 70 s." in page
    draw(tmp_path / "x.png", told)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
