"""A run directory holds one run, of one version, that only grows."""

from dataclasses import replace

import pytest

from fewstep import InputError
from fewstep.files import write_whole
from fewstep.training.provenance import versions
from fewstep.training.run_dir import RunDir
from tests.training.shared import SINUSOID, run


def test_fewer_steps_than_were_done(tmp_path):
    run(replace(SINUSOID, steps=10), tmp_path)
    before = RunDir(tmp_path).config.read_text()
    with pytest.raises(InputError, match="holds a run of 10 outer steps already, and steps is 5"):
        run(replace(SINUSOID, steps=5), tmp_path)
    assert RunDir(tmp_path).config.read_text() == before


def test_a_run_of_another_version(tmp_path):
    run(replace(SINUSOID, steps=5), tmp_path)
    RunDir(tmp_path).versions.write_text('{"fewstep": "0.0.1"}')
    with pytest.raises(InputError, match=r"was made by fewstep 0\.0\.1, and this is"):
        run(replace(SINUSOID, steps=10), tmp_path)


def test_what_an_early_kill_left_behind_is_no_hindrance(tmp_path, monkeypatch):
    (tmp_path / ".versions.json.0a1b2c3d.part").write_text("{")
    written = []

    def killed_at_the_second(path, write):
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt
        write_whole(path, write)

    monkeypatch.setattr("fewstep.training.run_dir.write_whole", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(replace(SINUSOID, steps=5), tmp_path)
    monkeypatch.undo()
    run(replace(SINUSOID, steps=5), tmp_path)


def test_another_run_in_the_same_directory(tmp_path):
    run(replace(SINUSOID, steps=5), tmp_path)
    with pytest.raises(InputError, match=r"holds a run with inner_lr = 0\.01, not 0\.02"):
        run(replace(SINUSOID, steps=5, inner_lr=0.02), tmp_path)


def test_a_budget_is_named_and_not_what_comes_with_it(tmp_path):
    paper, fast = ({"budget": b, "n_way": n} for b, n in (("paper", 5), ("fast", 60)))
    directory = RunDir(tmp_path)
    directory.write_json(directory.versions, versions())
    with pytest.raises(InputError, match="holds a run with budget = paper, not fast; choose"):
        directory.check_settings(fast, ["n_way"], lambda _: paper)
    older = {"n_way": 5}
    with pytest.raises(InputError, match="holds a run with n_way = 5, not 60; choose"):
        directory.check_settings(fast, ["n_way"], lambda _: older)
    # Alone it decides nothing.
    directory.check_settings({**paper, "budget": "fast"}, ["n_way"], lambda _: paper)


def test_a_directory_that_is_no_run(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="exists and is no run directory"):
        run(SINUSOID, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
