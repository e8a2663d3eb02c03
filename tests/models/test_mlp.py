"""The perceptron has the size that is asked for, and embeds categories of many levels."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fewstep
from fewstep import MAML, InputError, TaskBatch
from fewstep.config.recipes import RECIPES
from fewstep.data.source import TaskSpec
from fewstep.learners.build import learner_for
from fewstep.models.build import network
from fewstep.models.mlp import mlp
from tests.exactness.paths import PATHS

SINUSOID = RECIPES["sinusoid"].config
LEVELS = 9, 2, 50


def _rows(*shape):
    """Two numbers and a category of each of `LEVELS`."""
    blocks = [F.one_hot(torch.randint(n, shape), n) for n in LEVELS]
    return torch.cat([torch.randn(*shape, 2), *blocks], -1)


def test_mlp_of_the_sinusoid():
    model = mlp(1, (40, 40), 1)
    assert model(torch.zeros(7, 1)).shape == (7, 1)
    assert sum(p.numel() for p in model.parameters()) == 80 + 1640 + 41


def test_the_recipe_of_the_sinusoid_starts_as_it_did():
    """Names, order and numbers, as runs of earlier versions have them."""
    torch.manual_seed(0)
    expected = nn.Sequential(
        *(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))
    ).state_dict()
    torch.manual_seed(0)
    found = network(SINUSOID, (1,), 1).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("context", [0, 4])
def test_layers_and_width_are_settings(layers, context):
    config = replace(SINUSOID, layers=layers, width=7, context=context)
    model = network(config, (5,), 2, LEVELS[:0])
    assert model(torch.randn(3, 5)).shape == (3, 2)
    sizes = [part.out_features for part in model.modules() if isinstance(part, nn.Linear)]
    assert sizes[: layers + 1] == [7] * layers + [2]


def test_a_linear_model_has_the_features_as_they_are():
    model, x = mlp(63, (), 1, LEVELS), _rows(5)
    assert [*dict(model.named_parameters())] == ["0.weight", "0.bias"]
    assert torch.equal(model(x), F.linear(x, model[0].weight, model[0].bias))


def test_categories_of_many_levels_are_embedded():
    model, x = mlp(63, (6,), 1, LEVELS), _rows(5)
    first = model.get_submodule("0")
    assert first.in_features == 2 + 5 + 2 + 8
    weights = model.embeddings.weights
    expected = torch.cat(
        [
            x[:, :2],
            F.embedding(x[:, 2:11].argmax(1), weights["0"]),
            x[:, 11:13],
            F.embedding(x[:, 13:].argmax(1), weights["2"]),
        ],
        1,
    )
    torch.testing.assert_close(model.embeddings(x), expected)


def test_no_embeddings_of_two_or_three_levels():
    assert not hasattr(mlp(8, (6,), 1, (3, 2)), "embeddings")


def test_a_learner_knows_the_categories():
    config = replace(SINUSOID, context=3, width=6)
    spec = replace(TaskSpec.regression((63,)), categories=LEVELS)
    learner = learner_for(config, spec)
    assert learner.model.model.embeddings.categories == LEVELS
    # The context modulates a layer, not the embeddings.
    assert learner.model.modulation.out_features == 2 * 6


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("hidden", [(), (6,)])
def test_the_gradient_with_categories_is_exact(path, hidden):
    torch.manual_seed(0)
    model = mlp(63, hidden, 1, LEVELS).double()
    model = nn.Sequential(model, nn.Tanh()) if not hidden else model
    for name, part in list(model.named_children()):
        if isinstance(part, nn.ReLU):
            setattr(model, name, nn.Tanh())
    x, query_x = _rows(2, 6).double(), _rows(2, 7).double()
    tasks = TaskBatch(x, torch.randn(2, 6, 1).double(), query_x, torch.randn(2, 7, 1).double())
    learner = MAML(model, 0.1, 2, loss=F.mse_loss, **PATHS[path])
    report = fewstep.check_gradient(learner, tasks)
    assert report.exact, report


@pytest.mark.parametrize(("name", "value"), [("layers", -1), ("width", 0)])
def test_sizes_that_make_no_sense(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}; expected"):
        replace(SINUSOID, **{name: value})
