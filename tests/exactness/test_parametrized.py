"""Weights that are computed: weight norm, spectral norm, orthogonal ones."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from fewstep import MAML, TaskBatch
from tests.exactness.paths import assert_as_plain
from tests.factory import make_tasks, mlp

WEIGHT_NORMS = [nn.utils.weight_norm, parametrizations.weight_norm]


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("norm", WEIGHT_NORMS)
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(norm, dim):
    """PyTorch's own second derivative of it is wrong."""
    model = mlp()
    norm(model[0], dim=dim)
    g, v = (n for n, _ in model.named_parameters() if n not in ("0.bias", "2.weight", "2.bias"))

    def call(params, x):
        dims = [1 - dim] if dim is not None else [0, 1]
        length = params[v].square().sum(dims, keepdim=dim is not None).sqrt()
        hidden = F.linear(x, params[v] * (params[g] / length), params["0.bias"]).tanh()
        return F.linear(hidden, params["2.weight"], params["2.bias"])

    # PyTorch gives up on a weight that has a length each only under vmap.
    assert_as_plain(model, model, call=call, paths=("loop", "flat", "auto", "vectorised"))


def test_orthogonal():
    model = mlp()
    parametrizations.orthogonal(model[0])
    assert_as_plain(model, model, paths=("loop", "flat", "auto"))


@pytest.mark.filterwarnings("ignore:.*spectral_norm.* is deprecated")
@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, parametrizations.spectral_norm])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_spectral_norm(norm, mode):
    """Divides by the largest singular value, whatever the steps of the power iteration so far."""
    model = mlp()
    norm(model[0])
    getattr(model, mode)()
    (name,) = (n for n in dict(model.named_parameters()) if n.startswith(("0.weight", "0.param")))

    def call(params, x):
        weight = params[name] / torch.linalg.matrix_norm(params[name], ord=2)
        hidden = F.linear(x, weight, params["0.bias"]).tanh()
        return F.linear(hidden, params["2.weight"], params["2.bias"])

    assert_as_plain(model, model, call=call)
    # The adapted module agrees, though it is PyTorch's own that computes it.
    tasks = make_tasks()
    learner = MAML(model, 0.4, 2)
    x, y, query_x, query_y = tasks.task(0)
    loss = F.cross_entropy(learner.adapt(x, y)(query_x), query_y)
    torch.testing.assert_close(loss, learner.evaluate(tasks[0:1], 2).losses[0, -1])


def test_spectral_norm_of_what_is_computed_already():
    model, tasks = mlp(), make_tasks(1)
    parametrizations.spectral_norm(parametrizations.weight_norm(model[0]))
    learner = MAML(model, 0.4, 2)
    x, y, query_x, query_y = tasks.task(0)
    loss = F.cross_entropy(learner.adapt(x, y)(query_x), query_y)
    torch.testing.assert_close(loss, learner.evaluate(tasks, 2).losses[0, -1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spectral_norm_of_an_orthogonal_weight(dtype):
    """All its singular values are the largest, but for rounding, which is no curvature."""
    model = mlp().to(dtype)
    nn.init.orthogonal_(model[0].weight)
    parametrizations.spectral_norm(model[0])
    tasks = make_tasks()
    tasks = TaskBatch(
        tasks.support_x.to(dtype), tasks.support_y, tasks.query_x.to(dtype), tasks.query_y
    )
    gradient = MAML(model, 0.1, 2).meta_gradient(tasks)[1]
    assert all(g.norm() < 10 for g in gradient.values())
