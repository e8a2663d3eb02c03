"""The five best checkpoints of a run with a budget, kept whatever happens."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from fewstep import InputError
from fewstep.config.file import training_digest
from fewstep.training import checkpoint, top
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_run
from tests.training.shared import SINUSOID, last, lines, run, same

CONFIG = replace(
    SINUSOID,
    **{"budget": "fast", "steps": 16, "val_every": 1, "val_tasks": 3, "meta_batch": 2},
    **{"outer_lr": 0.01, "checkpoint_every": 3, "ema_decay": 0.5},
)


class Killed(BaseException):
    pass


class Operations:
    """Counts how often files are put in place or removed, and dies at one of these."""

    def __init__(self, patch):
        self.done, self.most = 0, 10**6
        for name in ("replace", "unlink"):
            patch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, operation):
        def called(*given, **named):
            self.done += 1
            if self.done > self.most:
                raise Killed
            return operation(*given, **named)

        return called


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that nothing disturbed, and its file operations."""
    path = tmp_path_factory.mktemp("top") / "run"
    with pytest.MonkeyPatch.context() as patch:
        operations = Operations(patch)
        run(CONFIG, path)
    return path, operations.done


@pytest.fixture
def whole(undisturbed):
    return undisturbed[0]


def loaded(path):
    """The weights of the best checkpoints that the last one names."""
    return list(top.load(path / "top", last(path)[1].top, training_digest(CONFIG)))


def test_the_five_best_validations_are_kept(whole):
    scores = {line["step"]: line["val/score"] for line in lines(whole) if "val/score" in line}
    assert len(scores) == 16
    best = sorted(scores, key=lambda step: (scores[step], step))[:5]
    progress = last(whole)[1]
    assert [step for step, _ in progress.top] == best
    assert progress.best_step == best[0]
    files = {path.stem: path for path in (whole / "top").iterdir()}
    assert files.keys() == {str(step) for step in best}
    # The weights alone, as the best checkpoint has them.
    assert same_weights(files[str(best[0])], RunDir(whole).best)
    assert all(len(values) == len(loaded(whole)[0]) for values in loaded(whole))


def same_weights(one, other):
    a, b = checkpoint.load(one)[0], checkpoint.load(other)[0]
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


@pytest.mark.parametrize("share", [0.5, 0.85])
def test_a_killed_run_keeps_the_same_ones(share, undisturbed, tmp_path, monkeypatch):
    """It dies between two file operations, and all that its last checkpoint names is there."""
    whole, number = undisturbed
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        Operations(patch).most = int(share * number)
        with pytest.raises(Killed):
            run(CONFIG, path)
    assert len(loaded(path)) >= 1
    run(CONFIG, path)
    assert same(path, whole)


def test_a_run_without_a_budget_keeps_the_best_alone(tmp_path):
    run(replace(CONFIG, budget=None, steps=4), tmp_path / "run")
    assert not (tmp_path / "run" / "top").exists()
    assert last(tmp_path / "run")[1].top == []


def test_a_run_of_before_goes_on_and_begins_to_keep(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "run")
    files = RunDir(path)
    shutil.rmtree(files.top)
    told = json.loads(files.config.read_text())
    del told["budget"]
    files.config.write_text(json.dumps(told))
    for file in (files.best, files.last):
        values, progress = checkpoint.load(file)
        checkpoint.save(file, values, replace(progress, top=[]))
    assert load_run(path, None, "cpu").config.budget is None
    run(replace(CONFIG, steps=18), path)
    assert {step for step, _ in last(path)[1].top} == {17, 18}
    assert len(loaded(path)) == 2


@pytest.mark.parametrize("damage", ["missing", "cut", "another"])
def test_one_that_is_missing_or_damaged(damage, whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "run")
    file, *others = (path / "top" / f"{step}.safetensors" for step, _ in last(path)[1].top)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        file.unlink()
    if damage == "another":
        shutil.copy(others[0], file)
    with pytest.raises(InputError, match=r"restore it or train in a new run directory"):
        loaded(path)


@pytest.mark.parametrize("value", [[["a", 0.5]], [[2, float("nan")]], [2]])
def test_a_damaged_list_of_them(value):
    with pytest.raises((ValueError, TypeError)):
        checkpoint.Progress(top=value)
