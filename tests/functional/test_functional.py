"""The public package: derivatives through an inner loop of one's own."""

import torch
from torch import nn
from torch.func import vmap

from fewstep import MAML
from fewstep.functional import functional_call, trainable
from tests.factory import make_tasks


def _network():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.MaxPool2d(2))
    return nn.Sequential(body, nn.Flatten(), nn.Linear(36, 3)).double()


def _query_loss(model, support_x, support_y, query_x, query_y):
    """Of one task after one step, as a user would write it."""
    params = trainable(model)
    loss = nn.functional.cross_entropy(functional_call(model, params, support_x), support_y)
    gradient = torch.autograd.grad(loss, list(params.values()), create_graph=True)
    adapted = {n: p - 0.1 * g for (n, p), g in zip(params.items(), gradient, strict=True)}
    return nn.functional.cross_entropy(functional_call(model, adapted, query_x), query_y)


def test_an_inner_loop_of_ones_own_is_exact():
    model, tasks = _network(), make_tasks(2, shape=(1, 8, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = [_query_loss(model, *tasks.task(number)) for number in range(2)]
    found = torch.autograd.grad(sum(losses) / 2, list(trainable(model).values()))
    _, expected = MAML(model, 0.1, 1, execution="loop").meta_gradient(tasks)
    torch.testing.assert_close(dict(zip(expected, found, strict=True)), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_functional_call_can_be_vectorised():
    model = _network()
    params = {name: torch.stack([p, 2 * p]) for name, p in trainable(model).items()}
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    found = vmap(lambda p: functional_call(model, p, x))(params)
    for number, prediction in enumerate(found):
        expected = functional_call(model, {n: p[number] for n, p in params.items()}, x)
        torch.testing.assert_close(prediction, expected)
