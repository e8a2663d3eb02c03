"""Models that may be given padding, and those that may not."""

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrizations

from fewstep.functional.by_example import treats_alone
from fewstep.models import series
from fewstep.models.mlp import mlp as with_embeddings
from tests.factory import mlp


class Centred(nn.Linear):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Promised(nn.Module):
    treats_examples_alone = True

    def forward(self, x):
        return 2 * x


class Heir(Promised):
    def forward(self, x):
        return x - x.mean(0)


def hooked():
    model = mlp()
    model[1].register_forward_hook(lambda _, __, h: h - h.mean(0))
    return model


def assigned():
    model = mlp()
    model.forward = lambda x: x - x.mean(0)
    return model


ALONE = {
    "mlp": mlp(nn.Sequential(nn.LayerNorm(6), nn.GELU(), nn.Identity())),
    "pictures": nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.ReLU(), nn.Flatten()),
    "no dropout": mlp(nn.Dropout(0.0)),
    "dropout off": mlp(nn.Dropout(0.5)).eval(),
    "embeddings": with_embeddings(6, (8,), 1, categories=(4,)),
    "convolutions": series.conv1d(window=8, features=2, outputs=1),
    "lstm": series.lstm(features=2, outputs=1),
    "gru": series.gru(features=2, outputs=1),
    "promised": nn.Sequential(Promised(), nn.Linear(4, 3)),
}
NOT_ALONE = {
    "batch norm": mlp(nn.BatchNorm1d(6)),
    "dropout": mlp(nn.Dropout(0.5)),
    "time first": nn.LSTM(4, 3),
    "recurrent dropout": nn.GRU(4, 3, num_layers=2, dropout=0.5, batch_first=True),
    "attention": nn.MultiheadAttention(4, 1),
    "over examples": nn.Sequential(nn.Flatten(0), nn.Linear(4, 3)),
    "softmax": mlp(nn.Softmax(0)),
    "subclass": mlp(Centred(6, 6)),
    "heir": Heir(),
    "hook": hooked(),
    "own forward": assigned(),
    "parametrized": parametrizations.spectral_norm(nn.Linear(4, 3)),
}


def modes(model):
    return [(part, part.training) for part in model.modules()]


@pytest.mark.parametrize("name", ALONE)
def test_examples_are_treated_alone(name):
    assert treats_alone(modes(ALONE[name]))


@pytest.mark.parametrize("name", NOT_ALONE)
def test_examples_may_be_mixed(name):
    assert not treats_alone(modes(NOT_ALONE[name]))


def test_what_is_listed_does_not_mix():
    """With others beside them, examples come out as they were."""
    for model in (ALONE["mlp"].double(), ALONE["dropout off"].double(), ALONE["promised"].double()):
        x, more = torch.randn(3, 4).double(), torch.randn(2, 4).double()
        torch.testing.assert_close(model(torch.cat([x, more]))[:3], model(x))


def centre(_, __, h):
    return h - h.mean(0)


def test_a_hook_of_all_modules_may_mix():
    handle = register_module_forward_hook(centre)
    try:
        assert not treats_alone(modes(ALONE["mlp"]))
    finally:
        handle.remove()
    assert treats_alone(modes(ALONE["mlp"]))


def test_a_layer_whose_class_was_changed_may_mix(monkeypatch):
    plain = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda layer, x: plain(layer, x - x.mean(0)))
    assert not treats_alone(modes(ALONE["mlp"]))
