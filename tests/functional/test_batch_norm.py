"""Replacements of batch norm and instance norm."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, TaskBatch
from fewstep.functional.call import PureModel
from tests.exactness.paths import assert_as_plain
from tests.factory import cnn, make_pictures, make_tasks
from tests.slopes import relative_error, slopes_of


@pytest.mark.parametrize("after", [nn.ReLU(True), nn.LeakyReLU(inplace=True)])
@pytest.mark.parametrize("kind", [nn.Sequential, type("Other", (nn.Sequential,), {})])
def test_what_follows_batch_norm_may_work_in_place(after, kind):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = kind(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            out = self.body(x)
            out += 0.1
            return self.head(after(out).mean((2, 3)))

    x, y = torch.randn(2, 4, 1, 6, 6), torch.arange(2).repeat(2, 2)
    loss, _ = MAML(Block(), 0.1).meta_gradient(TaskBatch(x, y, x, y))
    assert loss.isfinite()


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_instance_norm_with_running_statistics(norm):
    model = cnn(nn.ReLU(), nn.Dropout(0.1))
    model[1] = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    tasks = make_pictures(1)
    learner = MAML(model, 0.4, norm=norm)
    adapted = learner.adapt(tasks.support_x[0], tasks.support_y[0])
    loss = F.cross_entropy(adapted(tasks.query_x[0]), tasks.query_y[0])
    torch.testing.assert_close(loss, learner.evaluate(tasks, 1).losses[0, 1])


def test_a_batch_norm_called_twice_cannot_be_kept():
    layer = nn.BatchNorm1d(4)
    model = nn.Sequential(layer, nn.Linear(4, 4), layer, nn.Linear(4, 3))
    x, y = torch.randn(5, 4), torch.arange(5) % 3
    MAML(model).adapt(x, y, norm="transductive")
    for learner in (MAML(model), MAML(model, norm="inductive")):
        with pytest.raises(InputError, match="batch norm '0' is called more than once"):
            learner.adapt(x, y)


def test_batch_norm_without_a_bias_in_a_block():
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3))
    model = nn.Sequential(*layers).double()
    model[1].register_parameter("bias", None)
    x = torch.randn(3, 6, 1, 6, 6, dtype=torch.float64)
    y = torch.randint(3, (3, 6))
    assert_as_plain(model, model, TaskBatch(x, y, x, y))


class Two(nn.Module):
    """Normalises twice, by a function of (module, number, x); ``now`` says which of them it is."""

    def __init__(self, norm, *layers, turns=False):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.layers = nn.Linear(4, 3), nn.ModuleList(layers)
        self.rows = nn.ParameterList(torch.randn(3) for _ in range(4))
        self.norm, self.turns = norm, turns
        self.double()

    def forward(self, x):
        found = {}
        for number in (1, 0) if self.turns and len(x) > 6 else (0, 1):
            self.now = number
            found[number] = self.norm(self, number, (self.linear(x) + number).exp())
        return found[0] * (1 - found[1])


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x.exp()


class Exp(nn.BatchNorm1d):
    def forward(self, x):
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight.exp(), self.bias + 0, self.training)


def _parametrized():
    layer = nn.BatchNorm1d(3)
    for name in ("weight", "bias"):
        nn.utils.parametrize.register_parametrization(layer, name, Doubled())
    return layer


def _by_layer(module, number, x):
    return module.layers[number % len(module.layers)](x)


def _by_function(module, number, x):
    return F.batch_norm(x, None, None, module.rows[number], module.rows[2 + number], True)


def _computed(module, number, x):
    return F.batch_norm(x, None, None, module.rows[number].exp(), module.rows[2 + number] * 3, True)


def _half_computed(module, number, x):
    return F.batch_norm(x, None, None, module.rows[number], module.rows[2 + number] * 3, True)


def _made_anew(module, number, x):
    layer = nn.BatchNorm1d(3, dtype=x.dtype)
    return layer(x) * module.rows[number]


COMPUTED = {
    "parametrized": lambda: Two(_by_layer, _parametrized(), _parametrized()),
    "exponential": lambda: Two(_by_layer, Exp(3), Exp(3)),
    "nothing learned": lambda: Two(_by_layer, *(nn.BatchNorm1d(3, affine=False) for _ in range(2))),
    "one layer twice": lambda: Two(_by_layer, _parametrized()),
    "parameters": lambda: Two(_by_function, turns=True),
    "computed": lambda: Two(_computed),
    "half computed": lambda: Two(_half_computed, turns=True),
    "a layer made anew": lambda: Two(_made_anew),
}


def _by_statistics_of(model, support_x, query_x, monkeypatch):
    """A model's prediction, with batch norm by the statistics of other examples."""
    seen, recorded = {}, None

    def batch_norm(x, _mean, _var, weight=None, bias=None, *_):
        seen[model.now] = x.mean(0), x.var(0, unbiased=False)
        mean, var = (recorded or seen)[model.now]
        result = (x - mean) / (var + 1e-5).sqrt()
        result = result if weight is None else result * weight
        return result if bias is None else result + bias

    with monkeypatch.context() as patched:
        patched.setattr(F, "batch_norm", batch_norm)
        model(support_x)
        recorded = dict(seen)
        return model(query_x)


@pytest.mark.parametrize("case", COMPUTED)
def test_statistics_of_layers_with_computed_weights(case, monkeypatch):
    """They are told apart by their parameters, and else by the order of calls."""
    model, tasks = COMPUTED[case](), make_tasks(1, shots=2, queries=3)
    support_x, _, query_x, _ = tasks.task(0)
    pure = PureModel(model)
    with pure.inductive(dict(model.named_parameters()), support_x):
        found = pure.predict(query_x), pure.predict(query_x)
    expected = _by_statistics_of(model, support_x, query_x, monkeypatch)
    torch.testing.assert_close(found, (expected, expected))


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_the_gradient_through_statistics_of_computed_weights(execution):
    model, tasks = COMPUTED["parametrized"](), make_tasks(2, queries=3)
    learner = MAML(model, 0.1, 2, norm="inductive", execution=execution)
    slopes = slopes_of(
        lambda: learner.evaluate(tasks, 2).losses[:, -1].mean(), dict(model.named_parameters())
    )
    assert relative_error(learner.meta_gradient(tasks)[1], slopes) < 1e-6
