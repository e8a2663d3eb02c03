"""Files of adapted models: what they predict, what they tell, in eight bits, and refusals."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from fewstep import MAML, InputError
from fewstep.data.preparation import Preparation
from fewstep.export import to_onnx
from fewstep.export.eight_bits import rounded
from fewstep.models import conv4
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from tests.export.shared import adaptation, apart, network_and_task
from tests.factory import cnn, mlp

X, Y = torch.randn(6, 1, 4, 4), torch.arange(6) % 3


def predicted(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.numpy()})
    return found, session.get_modelmeta().custom_metadata_map


def test_an_adapted_classifier_tells_its_classes(tmp_path):
    adapted = adapt_classifier(MAML(cnn(), 0.1, 3), X, [*"aabbcc"])
    (path,) = to_onnx(adapted, tmp_path / "letters.onnx")
    found, told = predicted(path, X[:1])
    assert apart(found, adapted.module(X[:1]).detach().numpy()) < 1e-5
    about = {name: json.loads(text) for name, text in told.items()}
    assert about["classes"] == ["a", "b", "c"]
    assert about["example_shape"] == [1, 4, 4]
    assert (about["inner_steps"], about["inner_lr"], about["norm"]) == (3, 0.1, "inductive")
    assert (about["temperature"], about["what"], about["kind"]) == (
        *(1.0, "adapted", "classification"),
    )


def test_a_regression_and_a_module_alone(tmp_path):
    learner = MAML(mlp(outputs=1, dtype=torch.float32), 0.1, loss="mse")
    x, y = torch.randn(6, 4), torch.randn(6, 1)
    (path,) = to_onnx(adapt_regressor(learner, x, y), tmp_path / "numbers.onnx")
    module = learner.adapt(x, y)
    (other,) = to_onnx(module, tmp_path / "module.onnx", x=x)
    expected = module(x[:2]).detach().numpy()
    for one in (path, other):
        assert apart(predicted(one, x[:2])[0], expected) < 1e-5


@pytest.mark.parametrize("name", ["transformer", "lstm"])
def test_adapted_models_without_fast_paths(name, tmp_path):
    """PyTorch predicts by operations of their own, which no file has."""
    model, loss, x, y = network_and_task(name)
    module = MAML(model, 0.05, loss=loss).adapt(x, y)
    (path,) = to_onnx(module, tmp_path / "a.onnx", x=x)
    assert apart(predicted(path, x[:1])[0], module(x[:1]).detach().numpy()) < 1e-5


def test_transductive_models_use_each_batch(tmp_path):
    module = MAML(cnn(), 0.1).adapt(X, Y, norm="transductive")
    (path,) = to_onnx(module, tmp_path / "a.onnx", x=X)
    for x in (X[:2], 3 * X + 1):
        assert apart(predicted(path, x)[0], module(x).detach().numpy()) < 1e-5


def test_eight_bits_are_a_quarter_and_round_as_told(tmp_path):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(), nn.Linear(16, 100), nn.Tanh(), nn.Linear(100, 100))
    model = nn.Sequential(body, nn.Tanh(), nn.Linear(100, 20))
    (whole,) = to_onnx(model, tmp_path / "whole.onnx", x=X)
    (few,) = to_onnx(model, tmp_path / "few.onnx", x=X, bits=8)
    assert few.stat().st_size < 0.45 * whole.stat().st_size
    expected = rounded(model)(X).detach().numpy()
    assert apart(predicted(few, X)[0], expected) < 1e-5
    assert 1e-5 < apart(predicted(whole, X)[0], expected) < 0.05
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(few).graph.initializer}
    # The head has more numbers than a threshold asks for, and stays as it is.
    assert kinds["2.weight"] == onnx.TensorProto.FLOAT
    assert kinds["0.1.weight"] == kinds["0.3.weight"] == onnx.TensorProto.INT8
    files = to_onnx(MAML(model, 0.1), tmp_path / "task.onnx", x=X, y=Y, bits=8)
    assert files[0].stat().st_size < 0.45 * whole.stat().st_size
    reader = adaptation(tmp_path / "task")
    expected = MAML(rounded(model), 0.1).adapt(X, Y)(X).detach().numpy()
    found = reader.predict(reader.adapt(X.numpy(), Y.numpy()), X.numpy())
    assert apart(found, expected) < 1e-5


def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(example, {})
    assert (tmp_path / "start.pt2").exists()


def test_the_page_predicts_a_picture_as_fewstep_does(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    learner = MAML(conv4(3, 16, 3, filters=4), 0.3, 3)
    learner.preparation = Preparation(size=16, channels=3)
    learner.temperature = 0.5
    adapted = adapt_classifier(learner, torch.rand(6, 3, 16, 16), [*"aabbcc"])
    to_onnx(adapted, "products.onnx")
    pixels = np.random.default_rng(0).integers(256, size=(40, 61, 3), dtype=np.uint8)
    # Of a JPEG file fewstep reads a smaller version; by its name alone this is one.
    Image.fromarray(pixels).save("new.jpg", format="PNG")
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    example = next(b for b in re.findall(r"```py\n(.*?)```", page, re.S) if "products.onnx" in b)
    given = {"InferenceSession": onnxruntime.InferenceSession, "Image": Image}
    exec(example, {**given, "ImageOps": ImageOps, "json": json, "np": np})
    label, probability = capsys.readouterr().out.split()
    assert adapted.predict(["new.jpg"]) == [label]
    expected = adapted.predict_proba(["new.jpg"]).max()
    assert float(probability) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    ("source", "given", "told"),
    [
        (MAML(cnn()), {"x": X}, "x or y is not given"),
        (
            MAML(cnn()),
            {"what": "adapted", "x": X, "y": Y},
            "what is 'adapted' for the learner MAML",
        ),
        (cnn(), {"what": "adaptation", "x": X}, "what is 'adaptation' for an adapted model"),
        (cnn(), {"what": "all", "x": X}, "what is 'all'; expected one of adapted"),
        (cnn(), {}, "a Sequential is given with x of NoneType"),
        (cnn(), {"x": X, "bits": 4}, "bits is 4; expected 8 or 32"),
        (nn.LSTM(4, 3), {"x": X[:, 0]}, "the network returns a tuple"),
    ],
)
def test_mistakes_are_told_in_one_line(source, given, told, tmp_path):
    with pytest.raises(InputError, match=told):
        to_onnx(source, tmp_path / "a.onnx", **given)
    assert list(tmp_path.iterdir()) == []


def test_files_that_a_runtime_computes_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr("fewstep.export.check.as_input", lambda value: value.numpy() * 2)
    with pytest.raises(InputError, match="differs in onnxruntime from PyTorch by"):
        to_onnx(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), tmp_path / "a.onnx", x=X)
    assert not np.any([*tmp_path.iterdir()])
