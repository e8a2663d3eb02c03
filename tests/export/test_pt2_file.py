"""Files of torch.export: they compute without fewstep, for one example and for many."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from fewstep import MAML, InputError
from fewstep.export import to_onnx, to_pt2
from tests.factory import mlp


def test_adaptation_in_files_of_torch_export(tmp_path):
    learner = MAML(mlp(dtype=torch.float32), 0.1, 2)
    x, y = torch.randn(6, 4), torch.arange(6) % 3
    files = {path.stem: path for path in to_pt2(learner, tmp_path / "a.pt2", x=x, y=y)}
    assert [*files] == ["a-start", "a-step", "a-predict"]
    told = {"metadata.json": ""}
    step = torch.export.load(files["a-step"], extra_files=told).module()
    about = json.loads(told["metadata.json"])
    assert json.loads(about["inner_steps"]) == 2
    for examples in (3, 4, 1):
        state = torch.export.load(files["a-start"]).module()()
        given = {"support_x": x[:examples], "support_y": y[:examples]}
        for _ in range(2):
            inputs = {name: (state | given)[name] for name in json.loads(about["inputs"])}
            state = {name.removeprefix("next."): value for name, value in step(inputs).items()}
        found = torch.export.load(files["a-predict"]).module()({**state, "x": x})["outputs"]
        torch.testing.assert_close(found, learner.adapt(x[:examples], y[:examples])(x))


def small():
    """A learner with a task, to be exported."""
    return MAML(mlp(dtype=torch.float32), 0.1, 2), torch.randn(6, 4), torch.arange(6) % 3


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    # PyTorch's own writer of files would end the process.
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    learner, x, y = small()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"^no disk space left for [^\n]*$"):
        to_pt2(learner, tmp_path / "a.pt2", x=x, y=y)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("write", "ending"), [(to_pt2, "pt2"), (to_onnx, "onnx")])
def test_all_files_of_an_adaptation_are_written_or_none(write, ending, tmp_path):
    learner, x, y = small()
    (tmp_path / f"a-predict.{ending}").mkdir()
    with pytest.raises(InputError, match=r"a-predict\.\w+ \(it is a folder\)"):
        write(learner, tmp_path / f"a.{ending}", x=x, y=y)
    assert os.listdir(tmp_path) == [f"a-predict.{ending}"]
