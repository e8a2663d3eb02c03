"""Files of torch.export: they compute without fewstep, for one example and for many."""

import json

import torch

from fewstep import MAML
from fewstep.export import to_pt2
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
