"""Networks of series: their shapes, their settings, and an exact meta-gradient on every path."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fewstep
from fewstep import MAML, InputError, TaskBatch
from fewstep.config.recipes import RECIPES
from fewstep.models.build import network
from fewstep.models.series import conv1d, gru, lstm
from tests.exactness.paths import PATHS, TOLERANCE
from tests.plain import deviation, plain_meta_gradient
from tests.slopes import relative_error, slopes_of

SINUSOID = RECIPES["sinusoid"].config
WINDOW, FEATURES = 7, 3
NETWORKS = {
    "conv1d": lambda outputs: conv1d(WINDOW, FEATURES, outputs, width=4),
    "lstm": lambda outputs: lstm(FEATURES, outputs, width=4),
    "gru": lambda outputs: gru(FEATURES, outputs, width=4),
}


def _of(name, **changes):
    """The config; no data set of the registry has series by itself."""
    config = replace(SINUSOID, **changes)
    object.__setattr__(config, "model", name)
    return config


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("window", [1, 2, 50])
@pytest.mark.parametrize("layers", [1, 3])
def test_any_window_and_number_of_features(name, window, layers):
    model = network(_of(name, layers=layers, width=6), (window, 5), 2)
    assert model(torch.randn(4, window, 5)).shape == (4, 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_size_is_a_setting(name):
    sizes = {
        (layers, width): sum(
            p.numel()
            for p in network(_of(name, layers=layers, width=width), (9, 5), 2).parameters()
        )
        for layers in (1, 2)
        for width in (6, 12)
    }
    assert len(set(sizes.values())) == 4


@pytest.mark.parametrize("name", NETWORKS)
def test_no_layers_are_refused(name):
    with pytest.raises(InputError, match="layers is 0; expected 1 or more"):
        network(_of(name, layers=0), (9, 5), 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_are_no_series(name):
    told = rf"{name} with examples of \[5\]; expected series, \[window, features\]"
    with pytest.raises(InputError, match=told):
        network(_of(name), (5,), 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_row_counts_and_so_does_their_order(name):
    torch.manual_seed(0)
    model, x = NETWORKS[name](1).double(), torch.randn(1, WINDOW, FEATURES).double()
    x.requires_grad_()
    (slope,) = torch.autograd.grad(model(x).sum(), x)
    assert slope.abs().amax((0, 2)).min() > 0
    assert not torch.allclose(model(x), model(x.flip(1)))


def test_a_context_modulates_the_first_convolution():
    model = network(_of("conv1d", context=8, width=6), (9, 5), 2)
    assert model.modulation.out_features == 2 * 6
    assert model(torch.randn(4, 9, 5)).shape == (4, 2)


def _smooth(model):
    for name, part in model.named_children():
        if isinstance(part, nn.ReLU):
            setattr(model, name, nn.Tanh())
    return model.double()


def _tasks(outputs, number=3):
    def inputs(examples):
        return torch.randn(number, examples, WINDOW, FEATURES).double()

    def targets(examples):
        if outputs > 1:
            return torch.randint(outputs, (number, examples))
        return torch.randn(number, examples, 1).double()

    return TaskBatch(inputs(4), targets(4), inputs(5), targets(5))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_meta_gradient_is_exact_on_every_path(name, outputs):
    torch.manual_seed(0)
    model, tasks = _smooth(NETWORKS[name](outputs)), _tasks(outputs)
    loss = F.mse_loss if outputs == 1 else F.cross_entropy
    first = MAML(model, 0.2, 3, loss=loss, order="first")
    slopes = slopes_of(
        lambda: first.meta_gradient(tasks)[0], dict(model.named_parameters()), directions=3
    )
    for path in PATHS.values():
        _, gradient = MAML(model, 0.2, 3, loss=loss, **path).meta_gradient(tasks)
        assert relative_error(gradient, slopes) < TOLERANCE
    assert relative_error(first.meta_gradient(tasks)[1], slopes) > 1000 * TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_as_a_plain_loop_and_as_the_check_of_users(name):
    torch.manual_seed(0)
    model, tasks = _smooth(NETWORKS[name](3)), _tasks(3)
    _, expected = plain_meta_gradient(model, tasks, 0.2, 2)
    for path in PATHS.values():
        _, gradient = MAML(model, 0.2, 2, **path).meta_gradient(tasks)
        assert deviation(gradient, expected) < 1e-10


@pytest.mark.parametrize("make", [lstm, gru])
def test_the_check_of_users_finds_it_exact(make):
    learner = MAML(make(FEATURES, 2, layers=1, width=2).double(), 0.2)
    assert fewstep.check_gradient(learner, _tasks(2, number=1)).exact
