"""Models that change between calls, hold state of all kinds, or hold parameters in odd places."""

import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from fewstep import MAML, InputError, ProtoMAML, ProtoNet, Reptile, TaskBatch, check_gradient

from ..plain import deviation
from .snapshot import differences, snapshot
from .test_any_module import PATHS, assert_as_plain, mlp, tasks_of

RNG = numpy.random.default_rng(0)
TORCH_RNG = torch.Generator().manual_seed(0)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.scale = mlp(), 1.0

    def forward(self, x):
        return self.scale * self.net(x)


CHANGES = {
    "attribute": lambda m: setattr(m, "scale", 3.0),
    "layer": lambda m: m.net.__setitem__(1, nn.LeakyReLU(0.9)),
    "hook": lambda m: m.net[1].register_forward_hook(lambda *a: 2 * a[2]),
    "patch": lambda m: setattr(m.net[1], "forward", torch.sin),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_compiled_model_that_changes_is_compiled_again(change):
    tasks, model = tasks_of(2, 4), Scaled()
    learner = MAML(model, 0.1, compile=True)
    before = learner.meta_gradient(tasks)[0]
    change(model)
    found = learner.meta_gradient(tasks)[0]
    torch.testing.assert_close(found, MAML(model, 0.1).meta_gradient(tasks)[0])
    assert not torch.isclose(found, before)


def test_another_loss_is_compiled_too():
    tasks, learner = tasks_of(2, 4), MAML(mlp(), 0.1, compile=True)
    learner.meta_gradient(tasks)
    learner.loss = lambda p, y: 2 * F.cross_entropy(p, y)
    expected = MAML(mlp(), 0.1, loss=learner.loss).meta_gradient(tasks)
    torch.testing.assert_close(learner.meta_gradient(tasks), expected)


def test_another_head_is_looked_at_again():
    model, tasks = mlp(), tasks_of()
    learner = MAML(model)
    learner.meta_gradient(tasks)
    more = dataclasses.replace(tasks, query_y=tasks.query_y + 2)
    with pytest.raises(InputError, match="labels run from"):
        learner.meta_gradient(more)
    model[2] = nn.Linear(6, 5).double()
    learner.meta_gradient(more)
    model[2] = nn.Linear(6, 3).double()
    with pytest.raises(InputError, match="labels run from"):
        learner.meta_gradient(more)


class Modal(nn.Module):
    """Does in one mode what it does not in the other."""

    def __init__(self, act):
        super().__init__()
        self.net, self.act = mlp(), act

    def forward(self, x):
        return self.net(self.act(x) if self.training else x)


def test_a_mode_that_draws_is_found_when_it_comes():
    model, tasks = Modal(lambda x: x + numpy.random.randn()), tasks_of(8)
    learner = MAML(model.eval(), execution="chunked")
    learner.meta_gradient(tasks)
    model.train()
    with pytest.raises(InputError, match="generator that is not PyTorch's own"):
        learner.meta_gradient(tasks)


@pytest.mark.parametrize("training", [True, False])
def test_a_mode_that_writes_to_its_input(training):
    model = Modal(lambda x: x.mul_(1.5))
    if not training:
        model.act, model.forward = None, lambda x: model.net(x if model.training else x.mul_(1.5))
    tasks = tasks_of()
    before = tasks.support_x.clone(), tasks.query_x.clone()
    learner = MAML(model.train(not training))
    learner.meta_gradient(tasks)
    model.train(training)
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 1)
    if training:
        learner.adapt(*tasks.task(0)[:2])
    assert torch.equal(tasks.support_x, before[0])
    assert torch.equal(tasks.query_x, before[1])


class Clipping(nn.Module):
    """Writes to its input only where that is large, which the first task is not."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        x[x > 1.0] = 1.0
        return self.net(x)


def test_an_input_that_is_written_to_now_and_then():
    model, tasks = Clipping(), tasks_of()
    tasks.support_x[0].clamp_(max=0.5)
    before = tasks.support_x.clone()

    def call(params, x):
        return torch.func.functional_call(model, params, (x.clone(),))

    assert_as_plain(model, model, tasks, call=call, paths=("loop", "flat"))
    assert torch.equal(tasks.support_x, before)


GENERATORS = {
    "numpy": lambda: RNG.standard_normal(),
    "torch": lambda: torch.randn((), generator=TORCH_RNG, dtype=torch.float64),
}


@pytest.mark.parametrize("draw", GENERATORS.values(), ids=GENERATORS)
def test_generators_that_nobody_can_seed_again(draw):
    model, tasks = Modal(lambda x: x + draw()), tasks_of(8)
    MAML(model).meta_gradient(tasks)
    with pytest.raises(InputError, match="flat memory needs the same ones again"):
        MAML(model, memory="flat").meta_gradient(tasks)
    with pytest.raises(InputError, match="not PyTorch's own, which vmap would ask once"):
        MAML(model, execution="vectorised").meta_gradient(tasks)


def test_generators_of_the_model_itself_go_back():
    model, tasks = Modal(None), tasks_of()
    model.rng, model.more = numpy.random.default_rng(0), [torch.Generator().manual_seed(0)]
    model.act = lambda x: x + model.rng.standard_normal() + torch.rand((), generator=model.more[0])
    state = model.rng.bit_generator.state, model.more[0].get_state()
    found = [MAML(model, 0.1, 2, **PATHS[p]).meta_gradient(tasks)[1] for p in ("loop", "flat")]
    assert deviation(*found) < 1e-10
    assert model.rng.bit_generator.state == state[0]
    assert torch.equal(model.more[0].get_state(), state[1])


@dataclasses.dataclass
class Box:
    count: int = 0
    kept: list = dataclasses.field(default_factory=list)


class Stateful(nn.Module):
    """Keeps account in all kinds of things."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.box, self.name, self.counter = Box(), SimpleNamespace(n=0), Counter()
        self.array, self.ema = numpy.zeros(2), {"m": torch.zeros(3, dtype=torch.float64)}
        self.norms = (nn.BatchNorm1d(3).double(),)

    def forward(self, x):
        self.box.count += 1
        self.box.kept.append(x)
        self.name.n += 1
        self.counter["calls"] += 1
        self.array += 1
        out = self.norms[0](self.net(x))
        self.ema["m"].mul_(0.9).add_(out.detach().mean(0), alpha=0.1)
        return out + self.ema["m"] * self.box.count


@pytest.mark.parametrize("path", ["loop", "flat"])
def test_state_of_all_kinds_goes_back(path):
    model, tasks = Stateful(), tasks_of()
    norm = {name: value.clone() for name, value in model.norms[0].state_dict().items()}
    expected = MAML(model, 0.1, 2, execution="loop").meta_gradient(tasks)[1]
    found = MAML(model, 0.1, 2, **PATHS[path]).meta_gradient(tasks)[1]
    assert deviation(found, expected) < 1e-12
    assert model.box == Box()
    assert model.name == SimpleNamespace(n=0)
    assert not model.counter
    assert not model.array.any()
    assert not model.ema["m"].any()
    after = model.norms[0].state_dict()
    assert all(torch.equal(after[name], value) for name, value in norm.items())


class BufferOfWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.register_buffer("first", self.net[0].weight)

    def forward(self, x):
        return self.net[2](torch.tanh(x @ self.first.T))


def test_a_buffer_that_is_a_parameter():
    model = BufferOfWeight()

    def call(params, x):
        hidden = torch.tanh(x @ params["net.0.weight"].T)
        return F.linear(hidden, params["net.2.weight"], params["net.2.bias"])

    assert_as_plain(model, model, call=call)


class Listed(nn.Module):
    """Holds its parameters in a list, beside the places where they belong."""

    def __init__(self, hold):
        super().__init__()
        self.net = mlp()
        self.held = hold(self.net[0].weight)

    def forward(self, x):
        return self.net(x) * next(iter(self.held)).square().mean()


def test_parameters_in_a_list_of_the_model():
    model = Listed(lambda weight: [weight])
    before = snapshot(model)

    def call(params, x):
        hidden = F.linear(x, params["net.0.weight"], params["net.0.bias"]).tanh()
        out = F.linear(hidden, params["net.2.weight"], params["net.2.bias"])
        return out * params["net.0.weight"].square().mean()

    assert_as_plain(model, model, call=call)
    assert not differences(before, snapshot(model))


def test_parameters_where_no_other_can_stand():
    model = Listed(lambda weight: (weight,))
    with pytest.raises(InputError, match=r"'held' of Listed holds the parameter 'net.0.weight'"):
        MAML(model).meta_gradient(tasks_of())
    weight = mlp()[0].weight
    model = nn.Sequential(nn.Linear(4, 6).double(), nn.Linear(6, 3).double())
    model[0].weight = weight
    learner = MAML(model, loss=lambda p, y: F.cross_entropy(p, y) + weight.square().sum())
    with pytest.raises(InputError, match=r"the loss holds the parameter '0.weight'"):
        learner.meta_gradient(tasks_of())


def test_a_loss_that_holds_the_parameters_in_a_list():
    model, tasks = mlp(), tasks_of()
    held = list(model.parameters())
    loss = lambda p, y: F.cross_entropy(p, y) + 0.1 * sum(q.square().sum() for q in held)  # noqa: E731
    for path in PATHS.values():
        assert check_gradient(MAML(model, 0.2, 2, loss=loss, **path), tasks).exact
    assert all(one is other for one, other in zip(held, model.parameters(), strict=True))


class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.head = nn.Linear(4, 4), None

    def forward(self, x):
        if self.head is None:
            self.head = nn.Linear(4, 3)
        return self.head(self.net(x))


def test_layers_that_are_made_in_the_first_call():
    x, y = torch.randn(2, 6, 4), torch.randint(3, (2, 6))
    model = Late()
    with pytest.raises(InputError, match=r"makes its parameter 'head.weight' when it is called"):
        MAML(model).meta_gradient(TaskBatch(x, y, x, y))
    assert model.head is None
    model(x[0])
    MAML(model).meta_gradient(TaskBatch(x, y, x, y))


def test_parametrizations_that_are_kept():
    model = mlp()
    parametrizations.weight_norm(model[0])
    with parametrize.cached(), pytest.raises(InputError, match=r"parametrize.cached\(\) is active"):
        MAML(model).meta_gradient(tasks_of())


def test_spectral_norm_of_what_is_computed_already():
    model, tasks = mlp(), tasks_of(1)
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
    tasks = tasks_of()
    tasks = TaskBatch(
        tasks.support_x.to(dtype), tasks.support_y, tasks.query_x.to(dtype), tasks.query_y
    )
    gradient = MAML(model, 0.1, 2).meta_gradient(tasks)[1]
    assert all(g.norm() < 10 for g in gradient.values())


def test_spectral_norm_of_what_is_not_finite():
    model, tasks = mlp(), tasks_of()
    parametrizations.spectral_norm(model[0])
    tasks.support_x[1, 0] = float("nan")
    with pytest.raises(InputError, match="support_x has a number that is not finite in task 1"):
        MAML(model, 0.1, 2).meta_gradient(tasks)


def test_batch_norm_without_a_bias_in_a_block():
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3))
    model = nn.Sequential(*layers).double()
    model[1].register_parameter("bias", None)
    x = torch.randn(3, 6, 1, 6, 6, dtype=torch.float64)
    y = torch.randint(3, (3, 6))
    assert_as_plain(model, model, TaskBatch(x, y, x, y))


class Closure(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.f = lambda x: self.a(x)

    def forward(self, x):
        return self.f(x)


def test_an_adapted_copy_that_leads_back_to_the_model():
    x, y = torch.randn(1, 6, 4), torch.randint(3, (1, 6))
    learner = MAML(Closure(), 0.5, 3)
    learner.meta_gradient(TaskBatch(x, y, x, y))
    with pytest.raises(InputError, match="the adapted copy of the model does not predict"):
        learner.adapt(x[0], y[0])


ODD_HEADS = {
    "weight norm": lambda m: parametrizations.weight_norm(m[2]),
    "prune": lambda m: nn.utils.prune.l1_unstructured(m[2], "weight", 0.5),
    "tied": lambda m: setattr(m[2], "weight", m[0].weight),
    "kind": lambda m: m.__setitem__(2, type("Cosine", (nn.Linear,), {})(4, 3)),
}


@pytest.mark.parametrize("change", ODD_HEADS.values(), ids=ODD_HEADS)
@pytest.mark.parametrize("kind", [ProtoNet, ProtoMAML])
def test_heads_that_prototypes_cannot_stand_in(kind, change):
    import torch.nn.utils.prune  # noqa: F401

    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(4, 3))
    change(model)
    with pytest.raises(InputError, match=r"the last layer '2.*' is no plain nn.Linear"):
        kind(model)


def test_prototypes_are_of_what_the_head_is_called_with():
    torch.manual_seed(0)
    body, head = nn.Linear(4, 5), nn.Linear(5, 3)
    plain, odd = nn.Sequential(body, head), nn.Sequential(body, head, nn.LogSoftmax(1))
    x, y = torch.randn(2, 6, 4), torch.arange(3).repeat(2, 2)
    tasks = TaskBatch(x, y, x.flip(1), y.flip(1))
    for kind in (ProtoNet, ProtoMAML):
        found, expected = (kind(model).evaluate(tasks, 1).losses for model in (odd, plain))
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(*(kind(m).meta_gradient(tasks)[0] for m in (odd, plain)))


def test_a_head_that_is_tied_adapts_as_a_whole():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 3)).double()
    model[2].weight = model[0].weight
    learner = MAML(model, 0.5, adapting="head", head="2")
    tasks = tasks_of(1)
    adapted = learner.adapt(*tasks.task(0)[:2])
    assert not torch.equal(adapted[0].weight, model[0].weight)
    assert torch.equal(adapted[3].weight, model[3].weight)


def test_a_loss_that_calls_the_model_again():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    more = torch.randn(5, 4, dtype=torch.float64)
    loss = lambda p, y: F.cross_entropy(p, y) + 0.1 * model(more).square().mean()  # noqa: E731
    for norm in ("transductive", "inductive"):
        learner = MAML(model, 0.2, 2, loss=loss, norm=norm)
        learner.evaluate(tasks_of(), 1)
        assert check_gradient(learner, tasks_of()).exact


class System(nn.Module):
    """A model and its loss in one module, as training frameworks have them."""

    def __init__(self):
        super().__init__()
        self.net, self.scale = mlp(), nn.Parameter(torch.ones(3, dtype=torch.float64))

    def step(self, prediction, target):
        return F.cross_entropy(prediction * self.scale, target)


def test_a_loss_whose_module_holds_the_model():
    system = System()
    learner = MAML(system.net, 0.2, 2, loss=system.step)
    names = dict(learner.named_parameters())
    assert set(names) == {*dict(system.net.named_parameters()), "loss.scale"}
    assert check_gradient(learner, tasks_of()).exact


def _shift(prediction, target):
    target += 1
    return F.cross_entropy(prediction, target - 1)


def _halve(prediction, target):
    return F.cross_entropy(prediction.mul_(0.5), target)


def test_losses_and_metrics_that_write():
    tasks, plain = tasks_of(), MAML(mlp(), 0.2, 2)
    for loss in (_shift, _halve):
        before = tasks.query_y.clone()
        metrics = {"first": _shift, "clamp": lambda p, y: p.clamp_(0).sum(), "last": _shift}
        learner = MAML(nn.Sequential(mlp()), 0.2, 2, loss=loss, metrics=metrics)
        loss, gradient = learner.meta_gradient(tasks)
        found = learner.evaluate(tasks, 2)
        assert torch.equal(tasks.query_y, before)
        torch.testing.assert_close(found.metrics["first"], found.metrics["last"])
        torch.testing.assert_close(found.losses[:, -1].mean(), loss)
        if learner.loss is _shift:
            assert deviation(gradient, plain.meta_gradient(tasks)[1]) < 1e-12


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, AssertionError])
def test_a_metric_that_fails(error):
    def metric(prediction, target):
        raise error("odd")

    with pytest.raises(InputError, match=f"metric 'm' does not make a number .*{error.__name__}"):
        MAML(mlp(), metrics={"m": metric}).evaluate(tasks_of(), 1)


def test_a_loss_without_a_gradient():
    for loss in (
        lambda p, y: F.cross_entropy(p.detach(), y),
        lambda p, y: p.sum() * 0 + 1 if False else torch.ones(()),
        lambda p, y: (p * 1j).sum(),
    ):
        with pytest.raises(InputError, match="the loss has no gradient"):
            MAML(mlp(), loss=loss).meta_gradient(tasks_of())


def test_support_sets_that_are_none():
    x, y, *_ = tasks_of().task(0)
    for given, told in (
        ((x.tolist(), y), "x is a list"),
        ((x, y.tolist()), "y is a list"),
        ((None, None), "x is a None"),
        ((x, 3), "y is a int"),
    ):
        with pytest.raises(InputError, match=f"{told}.*; expected a torch.Tensor"):
            MAML(mlp()).adapt(*given)


def test_an_adaptation_that_diverges():
    x, y, *_ = tasks_of().task(0)
    with pytest.raises(InputError, match=r"not finite after \d+ inner steps"):
        MAML(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), 1e30).adapt(
            x.float(), y, 5
        )
    x[0] = float("inf")
    with pytest.raises(InputError, match="support_x has a number that is not finite"):
        MAML(mlp()).adapt(x, y)


def test_reptile_cannot_join_graphs():
    adjacency = torch.rand(3, 6, 6).double()
    tasks = tasks_of()
    smaller = (tasks.query_x[:, :4], adjacency[:, :4, :4])
    tasks = TaskBatch((tasks.support_x, adjacency), tasks.support_y, smaller, tasks.query_y[:, :4])

    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x, adjacency):
            return adjacency @ self.net(x)

    MAML(Graph()).meta_gradient(tasks)
    with pytest.raises(InputError, match="Reptile trains on support and query examples together"):
        Reptile(Graph()).meta_gradient(tasks)


def test_more_inner_steps_than_step_sizes():
    learner = MAML(mlp(), 0.1, 2, step_sizes="per-step")
    learner.inner_steps = 3
    with pytest.raises(InputError, match="inner_steps is 3, and step sizes were made for 2"):
        learner.meta_gradient(tasks_of())


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_a_compiled_learner_leaves_nothing_in_the_model():
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 6)), Scaled(), nn.Linear(3, 3)).double()
    model[1].net[0] = nn.Linear(6, 6).double()
    before, tasks = snapshot(model), tasks_of(2)
    learner = MAML(model, 0.2, 2, compile=True)
    found = learner.meta_gradient(tasks)[1]
    learner.evaluate(tasks, 1)
    learner.adapt(*tasks.task(0)[:2])
    assert not differences(before, snapshot(model))
    assert deviation(found, MAML(model, 0.2, 2).meta_gradient(tasks)[1]) < 1e-10


@pytest.mark.parametrize("settings", [{}, {"memory": "flat"}])
def test_a_bag_of_embeddings_is_refused_with_a_way_out(settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.EmbeddingBag(7, 4), nn.Tanh(), nn.Linear(4, 3))
    x, y = torch.randint(7, (2, 6, 3)), torch.randint(3, (2, 6))
    with pytest.raises(InputError, match=r"has no second derivative .*write it out in operations"):
        MAML(model, 0.2, 2, **settings).meta_gradient(TaskBatch(x, y, x, y))
