"""The split by class that a run keeps: what is read back is what was trained on."""

import json

import pytest

from fewstep import InputError
from fewstep.config.recipes import folder_config, table_config
from fewstep.data.preparation import Preparation
from fewstep.data.registry import task_sources
from fewstep.data.source import KeptSplit, TaskSpec
from fewstep.training.run_dir import RunDir
from fewstep.training.split_file import kept_split, split_as_json
from fewstep.training.task_form import TaskForm, form_as_json, form_of, read_form
from tests.tables import lines

SPLIT = {"train": ["crow", "owl"], "val": ["tit", "wren"], "test": ["jay", "kite"]}
CONFIG = folder_config("photos", 16, 2, 1)


@pytest.fixture
def run(tmp_path):
    """The files of a run before its first checkpoint."""
    files = RunDir(tmp_path)
    form = TaskForm(TaskSpec.classification((3, 16, 16), 2, 2), Preparation(16, 3))
    files.config.write_text("{}")
    files.write_json(files.data, form_as_json(form))
    files.write_json(files.split, SPLIT)
    return files


def test_a_split_is_read_back(run):
    kept = kept_split(CONFIG, run)
    assert kept is not None
    assert kept.classes == SPLIT
    assert kept.preparation == Preparation(16, 3)


@pytest.mark.parametrize("lost", ["split", "data"])
def test_a_split_is_drawn_before_training_alone(run, lost):
    getattr(run, lost).unlink()
    assert kept_split(CONFIG, run) is None
    # Another split would test what was trained on.
    for checkpoint in (run.last, run.best):
        checkpoint.write_bytes(b"trained")
        with pytest.raises(InputError, match=f"has no {lost}.json; restore it, or train in a new"):
            kept_split(CONFIG, run)
        checkpoint.unlink()


@pytest.mark.parametrize(
    ("part", "names", "told"),
    [
        ("test", ["jay", "owl"], "'owl' twice"),
        ("val", ["tit", "tit"], "'tit' twice"),
        ("val", [], "does not tell the classes of each split"),
        ("test", "jay", "does not tell the classes of each split"),
        ("train", ["owl", 3], "does not tell the classes of each split"),
    ],
)
def test_a_split_that_was_changed_is_refused(run, part, names, told):
    run.split.write_text(json.dumps(SPLIT | {part: names}))
    with pytest.raises(InputError, match=told):
        kept_split(CONFIG, run)


def test_the_tasks_of_a_table_are_kept(tmp_path):
    lines().to_csv(tmp_path / "sites.csv", index=False)
    of = {"task": "site", "target": "level", "k_shot": 3}
    config = table_config(str(tmp_path / "sites.csv"), **of)
    tasks, files = task_sources(config), RunDir(tmp_path)
    files.config.write_text("{}")
    files.write_json(files.data, form_as_json(form_of(tasks["train"])))
    files.write_json(files.split, split_as_json(tasks))
    kept = kept_split(config, files)
    assert kept == KeptSplit({s: [*t.rows.names] for s, t in tasks.items()}, tasks["train"].how)
    form = read_form(files.data)
    assert form.spec == tasks["train"].spec
    files.write_json(files.split, split_as_json(tasks) | {"val": ["site 1", "site 1"]})
    with pytest.raises(InputError, match="has the task 'site 1' twice"):
        kept_split(config, files)
    damaged = json.loads(files.data.read_text())
    del damaged["preparation"]["forms"]
    files.write_json(files.data, damaged)
    with pytest.raises(InputError, match="does not tell the form of tasks"):
        kept_split(config, files)
