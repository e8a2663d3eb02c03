"""Adaptation in onnxruntime is PyTorch's own: networks, algorithms, any number of examples."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from fewstep import MAML, R2D2, FineTune, ImplicitMAML, InputError, ProtoMAML, ProtoNet
from fewstep.export import to_onnx, to_pt2
from fewstep.models.context import WithContext
from tests.export.shared import NETWORKS, adaptation, apart, network_and_task
from tests.factory import cnn, mlp


def adapted_outputs(learner, x, y, steps, query, **norm):
    return learner.adapt(x, y, steps=steps, norm="inductive")(query).detach().numpy()


def outputs_of_files(name, x, y, steps, query):
    files = adaptation(name)
    return files.predict(files.adapt(x.numpy(), y.numpy(), steps), query.numpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_adapt_as_in_pytorch(name, tmp_path):
    model, loss, x, y = network_and_task(name)
    learner = MAML(model, 0.05, 5, loss=loss)
    to_onnx(learner, tmp_path / "task.onnx", x=x, y=y)
    # Of other numbers than those that were exported, and one example at a time.
    support, targets, query = torch.cat([x, x + 0.1])[:9], torch.cat([y, y])[:9], x[:1] - 0.1
    for steps in (1, 5):
        found = outputs_of_files(tmp_path / "task", support, targets, steps, query)
        expected = adapted_outputs(learner, support, targets, steps, query)
        assert apart(found, expected) < 1e-5, steps


ALGORITHMS = {
    "anil": lambda: MAML(cnn(), 0.1, 2, adapting="head"),
    "meta-sgd": lambda: MAML(cnn(), 0.1, 2, step_sizes="per-element"),
    "maml++": lambda: MAML(
        cnn(), 0.1, 2, step_sizes="per-step", per_step_affine=True, per_step_statistics=True
    ),
    "adam": lambda: MAML(cnn(), 0.01, 2, inner_optimizer="adam"),
    "shared-rows": lambda: MAML(cnn(), 0.1, 2, head_rows="shared"),
    "cavia": lambda: MAML(WithContext(cnn(), 3, "0", 4), 1.0, 2, adapting=["context"]),
    "imaml": lambda: ImplicitMAML(nn.Sequential(nn.Flatten(), mlp(inputs=16, dtype=None)), 0.1, 2),
    "protomaml": lambda: ProtoMAML(cnn(), 0.1, 2),
    "protonet": lambda: ProtoNet(cnn()),
    "finetune": lambda: FineTune(cnn(), classes=7, inner_lr=0.1, inner_steps=2),
    "double": lambda: MAML(cnn(dtype=torch.float64), 0.1, 2),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_adapt_as_in_pytorch(name, tmp_path):
    torch.manual_seed(1)
    learner = ALGORITHMS[name]()
    with torch.no_grad():
        for part in learner.parameters():
            part += 0.05 * torch.rand_like(part)
    x, y = torch.randn(6, 1, 4, 4), torch.arange(6) % 3
    own = x.to(next(learner.parameters()).dtype)
    files = to_onnx(learner, tmp_path / "task.onnx", x=own, y=y)
    assert (tmp_path / "task-step.onnx").exists() == (name != "protonet")
    given = {input.name for input in onnx.load(files[-1]).graph.input}
    assert ("statistics.0.mean" in given) == (name not in ("maml++", "imaml"))
    for steps in (0, 1, 2) if name != "protonet" else (0,):
        found = outputs_of_files(tmp_path / "task", x, y, steps, x + 0.5)
        assert apart(found, adapted_outputs(learner, own, y, steps, own + 0.5)) < 1e-5, steps


def test_transductive_files_use_each_batch(tmp_path):
    learner, x, y = MAML(cnn(), 0.1), torch.randn(6, 1, 4, 4), torch.arange(6) % 3
    to_onnx(learner, tmp_path / "task.onnx", x=x, y=y, norm="transductive")
    assert not (tmp_path / "task-statistics.onnx").exists()
    expected = learner.adapt(x, y, norm="transductive")(2 * x + 1).detach().numpy()
    assert apart(outputs_of_files(tmp_path / "task", x, y, 1, 2 * x + 1), expected) < 1e-5


def test_the_learner_and_its_model_stay_as_they_are(tmp_path):
    model = cnn()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    to_onnx(MAML(model), tmp_path / "a.onnx", x=torch.randn(6, 1, 4, 4), y=torch.arange(6) % 3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("write", "ending"), [(to_onnx, "onnx"), (to_pt2, "pt2")])
def test_nothing_is_left_of_an_earlier_adaptation(write, ending, tmp_path):
    """A reader would take the statistics of another network."""
    out, x, y = tmp_path / f"a.{ending}", torch.randn(6, 4), torch.arange(6) % 3
    files = {part: tmp_path / f"a-{part}.{ending}" for part in ("start", "step", "predict")}
    stale, mine = tmp_path / f"a-statistics.{ending}", tmp_path / f"a-b-statistics.{ending}"
    for path in (out, stale, mine):
        path.touch()
    assert write(MAML(mlp(dtype=None), 0.1), out, x=x, y=y) == [*files.values()]
    assert sorted(tmp_path.iterdir()) == sorted([*files.values(), out, mine])
    write(ProtoNet(mlp(dtype=None)), out, x=x, y=y)
    assert not files["step"].exists()
    write(nn.Linear(4, 3), out, x=x)
    assert files["predict"].exists()


def test_what_cannot_be_exported_is_told(tmp_path):
    x, numbers, labels = torch.randn(6, 4), torch.randn(6, 1), torch.arange(6) % 3
    for learner, y, what, told in (
        (R2D2(nn.Linear(4, 1)), numbers, "adaptation", "R2D2 .* folder of fewstep adapt --out"),
        (ProtoNet(mlp(dtype=None)), labels, "meta-learned", "makes its last layer for each task"),
    ):
        with pytest.raises(InputError, match=told):
            to_onnx(learner, tmp_path / "a.onnx", what, x=x, y=y)
    assert list(tmp_path.iterdir()) == []


def test_before_adaptation_classes_have_one_way_out(tmp_path):
    learner, x, y = MAML(cnn(), 0.1), torch.randn(6, 1, 4, 4), torch.arange(6) % 3
    (path,) = to_onnx(learner, tmp_path / "start.onnx", "meta-learned", x=x, y=y)
    import onnxruntime

    (found,) = onnxruntime.InferenceSession(path).run(None, {"x": x[:3].numpy()})
    np.testing.assert_allclose(found, learner.model(x[:3]).detach().numpy(), atol=1e-5)
