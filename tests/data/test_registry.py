"""A new data set or network is one file and one entry: the documents' examples, trained by name."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fewstep import InputError
from fewstep.cli.results import final_test
from fewstep.config import registry
from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.training.run_dir import RunDir
from tests.training.shared import train

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
CONFIG = replace(
    RECIPES["sinusoid"].config,
    **{"steps": 150, "val_every": 50, "val_tasks": 20, "test_tasks": 20, "inner_lr": 0.1},
)


@pytest.fixture
def blobs(tmp_path, monkeypatch):
    """The data set of the page, as one file and one entry."""
    parts = [block for block in BLOCKS if "class Blobs" in block or "def sources" in block]
    (tmp_path / "page_blobs.py").write_text("\n".join(parts))
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.DataSet("page_blobs:sources", examples="rows", settings=("n_way",))
    monkeypatch.setitem(registry.DATA_SETS, "blobs", entry)


@pytest.mark.usefixtures("blobs")
@pytest.mark.parametrize("algorithm", ["maml", "protonet"])
def test_a_new_data_set_is_trained_and_tested(algorithm, tmp_path):
    config = replace(CONFIG, data="blobs", n_way=3, k_shot=1, test_k_shot=1)
    config, console = with_algorithm(config, algorithm), Console(file=io.StringIO(), width=200)
    run = train(config, tmp_path / "run", console)
    assert 0.6 < run.progress.best_score <= 1
    final_test(run, tmp_path / "run", console)
    told = console.file.getvalue()
    assert "20 test tasks of blobs, 3-way 1-shot" in told
    assert "validation accuracy" in told
    files = RunDir(tmp_path / "run")
    assert files.curve.exists()
    assert not files.task.exists()


@pytest.mark.usefixtures("blobs")
def test_what_does_not_suit_a_new_data_set(tmp_path):
    config = replace(CONFIG, data="blobs", n_way=3)
    with pytest.raises(InputError, match="data blobs with model conv4; rows need model mlp"):
        replace(config, model="conv4")
    with pytest.raises(InputError, match="n_way is 1; expected 2 or more"):
        replace(config, n_way=1)
    pretrained = replace(config, algorithm="finetune")
    with pytest.raises(InputError, match="does not tell which class of all a task's labels stand"):
        train(pretrained, tmp_path / "run", Console(file=io.StringIO()))


def test_a_new_network_is_trained(tmp_path, monkeypatch):
    (block,) = (block for block in BLOCKS if "def from_config" in block)
    (tmp_path / "page_linear.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.Network("page_linear:from_config", "pictures", modulated="1")
    monkeypatch.setitem(registry.NETWORKS, "linear", entry)
    short = {"steps": 2, "val_every": 2, "val_tasks": 2, "meta_batch": 2, "workers": 1}
    config = replace(RECIPES["glyphs-5way-1shot"].config, model="linear", **short)
    run = train(with_algorithm(config, "cavia"), tmp_path / "run", Console(file=io.StringIO()))
    shapes = {name: list(p.shape) for name, p in run.learner.named_parameters()}
    assert shapes["model.1.weight"] == [5, 28 * 28]
    assert shapes["modulation.weight"] == [2 * 5, 32]


def test_the_page_runs_from_top_to_bottom():
    names = {}
    for block in BLOCKS:
        exec(block, names)
    assert names["accuracy"].shape == (4,)
