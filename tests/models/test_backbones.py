"""Networks of timm and torchvision by name: the real ones, and what is told where they fail."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError
from fewstep.config.recipes import RECIPES
from fewstep.models import backbones
from fewstep.models.build import network
from tests.factory import make_tasks
from tests.vision import import_torchvision

GLYPHS = RECIPES["glyphs-5way-1shot"].config
COLOUR, GREY = (3, 32, 32), (1, 32, 32)
installed = pytest.mark.skipif(not import_torchvision(), reason="torchvision is not installed")


def _make(model, shape=COLOUR, **settings):
    torch.manual_seed(0)
    return network(replace(GLYPHS, model=model, **settings), shape, 5)


@installed
@pytest.mark.parametrize(
    ("name", "shape", "head"),
    [
        ("timm/resnet10t", COLOUR, "model.fc"),
        ("timm/resnet10t", GREY, "model.fc"),
        ("timm/test_vit", COLOUR, "model.head"),  # of pictures of one size, which it is told
        ("torchvision/squeezenet1_1", COLOUR, "model.classifier.1"),
        ("torchvision/resnet18", COLOUR, "model.fc"),
    ],
)
def test_a_network_of_the_package_with_a_new_head(name, shape, head):
    model = _make(name, shape)
    assert model.training
    assert model(torch.rand(2, *shape)).shape == (2, 5)
    assert model.get_submodule(head).weight.shape[0] == 5
    assert not [n for n in model.state_dict() if n in ("mean", "std")]


@installed
def test_the_head_adapts_alone():
    model, tasks = _make("timm/resnet10t"), make_tasks(1, 1, 1, COLOUR, dtype=torch.float32)
    adapted = MAML(model, 0.1, adapting="head").adapt(tasks.support_x[0], tasks.support_y[0])
    start = dict(model.named_parameters())
    changed = {n for n, p in adapted.named_parameters() if not torch.equal(p, start[n])}
    assert changed == {"model.fc.weight", "model.fc.bias"}
    _, gradient = MAML(model, 0.1, 2, memory="flat").meta_gradient(tasks)
    assert gradient["model.conv1.0.weight"].abs().sum() > 0


@installed
@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("timm/resnet1", COLOUR, "timm has no network 'resnet1' .*; did you mean timm/resnet"),
        ("torchvision/resnet", COLOUR, "torchvision has no network 'resnet' .* torchvision/resnet"),
        ("torchvision/fasterrcnn_resnet50_fpn", COLOUR, "that classifies pictures"),
        ("torchvision/resnet18", GREY, "pictures of 1 channels; it takes 3: choose a network of t"),
        ("torchvision/alexnet", (3, 16, 16), r"does not take pictures of \[3, 16, 16\] \("),
        ("timm/resnet10t", (3, 32, 40), "expected as many pixels high as wide"),
    ],
)
def test_what_a_package_cannot_make(name, shape, told):
    with pytest.raises(InputError, match=told) as caught:
        _make(name, shape)
    assert "\n" not in str(caught.value)


@installed
def test_a_download_that_fails_is_told_in_one_line(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("Name or service not known\nand more")

    monkeypatch.setattr("torchvision.models.resnet.ResNet18_Weights.get_state_dict", fail)
    told = r"weights of torchvision/resnet18 \(Name or .* known\); where there is no network, leave"
    with pytest.raises(InputError, match=told):
        _make("torchvision/resnet18", pretrained=True)
    monkeypatch.setattr("timm.create_model", fail)
    with pytest.raises(InputError, match="weights of timm/resnet10t"):
        _make("timm/resnet10t", pretrained=True)


@installed
def test_pretrained_weights_are_kept_but_for_the_head(monkeypatch):
    import torchvision

    torch.manual_seed(1)
    trained = torchvision.models.resnet18(num_classes=1000).state_dict()
    cls = type(torchvision.models.ResNet18_Weights.DEFAULT)
    monkeypatch.setattr(cls, "get_state_dict", lambda self, **_: trained)
    model, plain = _make("torchvision/resnet18", pretrained=True), _make("torchvision/resnet18")
    own = model.model.state_dict()
    assert {n for n in own if own[n].shape != trained[n].shape} == {"fc.weight", "fc.bias"}
    assert torch.equal(own["conv1.weight"], trained["conv1.weight"])
    assert not torch.equal(own["conv1.weight"], plain.model.conv1.weight)
    assert torch.equal(own["fc.weight"], plain.model.fc.weight)


def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"needs the package timm, .* pip install fewstep\[back"):
        _make("timm/resnet10t")


@pytest.mark.parametrize("error", [RuntimeError, ImportError, AttributeError, OSError])
def test_a_package_that_does_not_load(error, monkeypatch):
    def load(name):
        raise error("operator torchvision::nms does not exist")

    monkeypatch.setattr(backbones, "import_module", load)
    told = r"timm cannot be imported \(operator .*\); install torchvision of the version and the b"
    with pytest.raises(InputError, match=told):
        _make("timm/resnet10t")


def test_a_network_that_predicts_something_else(monkeypatch):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3}

        def forward(self, x):
            return x, x

    timm = ModuleType("timm")
    timm.is_model = lambda name: True
    timm.create_model = lambda name, **settings: Pair()
    monkeypatch.setitem(sys.modules, "timm", timm)
    with pytest.raises(InputError, match=r"timm/pair predicts tuple for 2 .*; expected \[2, 5\]"):
        _make("timm/pair")


def test_pictures_are_standardised():
    x = torch.rand(4, 3, 8, 8)
    mean, std = torch.tensor(backbones.IMAGENET)[..., None, None]
    found = backbones.Standardised(nn.Identity(), *backbones.IMAGENET, 3)(x)
    torch.testing.assert_close(found, (x - mean) / std)
    grey = backbones.Standardised(nn.Identity(), *backbones.IMAGENET, 1)(x[:, :1])
    torch.testing.assert_close(grey, (x[:, :1] - mean.mean()) / std.mean())


@pytest.mark.parametrize("name", ["conv5", "timm", "timm/", "torch/resnet18", "", "/"])
def test_names_that_are_none(name):
    with pytest.raises(InputError, match=f"^model is '{name}'; expected one of conv4, resnet12"):
        replace(GLYPHS, model=name)


def test_a_context_needs_a_known_layer():
    with pytest.raises(InputError, match="context is 8 with model timm/resnet10t, of which no"):
        replace(GLYPHS, model="timm/resnet10t", context=8)
