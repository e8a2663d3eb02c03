"""Layers and functions that PyTorch treats in a special way."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, TaskBatch
from tests.exactness.paths import PATHS, assert_as_plain
from tests.factory import make_tasks, mlp
from tests.plain import deviation
from tests.slopes import relative_error, slopes_of


def test_a_sparse_embedding():
    torch.manual_seed(0)
    layers = (nn.Flatten(), nn.Linear(12, 3))
    model, plain = (
        nn.Sequential(nn.Embedding(7, 4, sparse=sparse), *copy.deepcopy(layers)).double()
        for sparse in (True, False)
    )
    plain.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(7, (3, 6, 3), generator=generator)
    y = make_tasks().support_y
    assert_as_plain(model, plain, TaskBatch(x, y, x, y))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_a_sparse_bag_of_embeddings(execution):
    torch.manual_seed(0)
    x, y = torch.randint(7, (3, 6, 2)), make_tasks().support_y
    model, plain = (nn.Sequential(nn.EmbeddingBag(7, 3, sparse=way)) for way in (True, False))
    plain.load_state_dict(model.state_dict())
    found, expected = (
        MAML(m, 0.4, 2, order="first", execution=execution).meta_gradient(TaskBatch(x, y, x, y))
        for m in (model, plain)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("settings", [{"padding_idx": 1}, {"scale_grad_by_freq": True}])
def test_what_vmap_would_leave_out_of_an_embedding(settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4, **settings), nn.Flatten(), nn.Linear(12, 3)).double()
    x, y = torch.randint(5, (16, 6, 3)), make_tasks(16).support_y
    tasks = TaskBatch(x, y, x, y)
    expected = MAML(model, 0.4, 2, execution="loop").meta_gradient(tasks)[1]
    assert deviation(MAML(model, 0.4, 2).meta_gradient(tasks)[1], expected) < 1e-10
    learner = MAML(model, 0.4, 2, execution="vectorised")
    if "padding_idx" in settings:
        assert deviation(learner.meta_gradient(tasks)[1], expected) < 1e-10
    else:
        with pytest.raises(InputError, match=r"layer '0' .* cannot be vectorised"):
            learner.meta_gradient(tasks)


ELEMENTARY = {
    "hardsigmoid": (nn.Hardsigmoid(), lambda x: (x + 3).clamp(0, 6) / 6),
    "hardswish": (nn.Hardswish(), lambda x: x * (x + 3).clamp(0, 6) / 6),
    "hardswish in place": (nn.Hardswish(inplace=True), lambda x: x * (x + 3).clamp(0, 6) / 6),
}


@pytest.mark.parametrize(("layer", "function"), ELEMENTARY.values(), ids=ELEMENTARY)
def test_activations_without_a_second_derivative(layer, function):
    model = nn.Sequential(mlp()[0], layer, mlp()[2])

    def call(params, x):
        hidden = function(F.linear(x, params["0.weight"], params["0.bias"]))
        return F.linear(hidden, params["2.weight"], params["2.bias"])

    assert_as_plain(model, model, call=call)


class Distances(nn.Module):
    def __init__(self, p, pairs):
        super().__init__()
        self.net, self.p, self.pairs = mlp(), p, pairs

    def forward(self, x):
        z = self.net(x)
        if self.pairs:
            return z + F.pdist(z, self.p).sum()
        # Of each to itself it is zero, where a root has no finite derivative.
        return -torch.cdist(z, z, p=self.p)[:, :3]


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("pairs", [False, True])
def test_distances(p, pairs):
    tasks, model = make_tasks(), Distances(p, pairs)
    learner = MAML(model, 0.2, 2)
    slopes = slopes_of(
        lambda: learner.evaluate(tasks, 2).losses[:, -1].mean(), dict(model.named_parameters())
    )
    for path in PATHS.values():
        found = MAML(model, 0.2, 2, **path).meta_gradient(tasks)[1]
        assert relative_error(found, slopes) < 1e-6


@pytest.mark.parametrize("settings", [{}, {"memory": "flat"}])
def test_a_bag_of_embeddings_is_refused_with_a_way_out(settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.EmbeddingBag(7, 4), nn.Tanh(), nn.Linear(4, 3))
    x, y = torch.randint(7, (2, 6, 3)), torch.randint(3, (2, 6))
    with pytest.raises(InputError, match=r"has no second derivative .*write it out in operations"):
        MAML(model, 0.2, 2, **settings).meta_gradient(TaskBatch(x, y, x, y))
