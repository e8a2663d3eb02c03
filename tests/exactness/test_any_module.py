"""Modules that do what modules may: compiled, parametrised, hooked, looking at their graph.

Each is compared with a plain loop in float64 over an equivalent model, and is left as it was.
"""

import copy
import random

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from fewstep import MAML, InputError, TaskBatch

from ..plain import deviation, plain_meta_gradient
from ..slopes import relative_error, slopes_of

PATHS = {
    "loop": {"execution": "loop"},
    "flat": {"execution": "loop", "memory": "flat"},
    "auto": {},
    "vectorised": {"execution": "vectorised"},
}


def tasks_of(number=3, examples=6, width=4, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def x():
        shape = (number, examples, width)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def y():
        return torch.randint(3, (number, examples), generator=generator)

    return TaskBatch(x(), y(), x(), y())


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def assert_as_plain(model, reference, tasks=None, paths=PATHS, call=None, **settings):
    """On every path, the gradient of a plain loop over the reference."""
    tasks = tasks or tasks_of()
    loss, expected = plain_meta_gradient(reference, tasks, 0.4, 2, call=call)
    for name in paths:
        torch.manual_seed(1)
        found_loss, found = MAML(model, 0.4, 2, **PATHS[name], **settings).meta_gradient(tasks)
        torch.testing.assert_close(found_loss, loss, rtol=1e-10, atol=0)
        assert deviation(found, expected) < 1e-10, name


@pytest.mark.parametrize("part", [False, True])
def test_a_compiled_module_is_computed_as_it_was_written(part):
    model, keys = mlp(), list(mlp().state_dict())
    if part:
        model[0] = torch.compile(model[0], backend="eager")
        compiled = model
    else:
        compiled = torch.compile(model, backend="eager")
    assert_as_plain(compiled, mlp())
    if not part:
        assert list(model.state_dict()) == keys
    tasks = tasks_of()
    adapted = MAML(compiled, 0.4).adapt(*tasks.task(0)[:2])
    compiled.load_state_dict(adapted.state_dict())


def test_a_module_compiled_in_place():
    model = mlp()
    model.compile(backend="eager")
    model[2].compile(backend="eager")
    assert_as_plain(model, mlp())
    assert model._compiled_call_impl is not None


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
    tasks = tasks_of()
    learner = MAML(model, 0.4, 2)
    x, y, query_x, query_y = tasks.task(0)
    loss = F.cross_entropy(learner.adapt(x, y)(query_x), query_y)
    torch.testing.assert_close(loss, learner.evaluate(tasks[0:1], 2).losses[0, -1])


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.jit.script(nn.Linear(4, 6))
        self.b = nn.Linear(6, 3)

    def forward(self, x):
        return self.b(self.a(x).tanh())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_scripted_part_is_refused_by_name():
    with pytest.raises(InputError, match=r"layer 'a' is compiled by TorchScript"):
        MAML(Scripted().double()).meta_gradient(tasks_of())


class Kept(nn.Module):
    """What a hook keeps of a part is what the rest computes with."""

    def __init__(self):
        super().__init__()
        self.body = mlp()
        self.body[1].register_forward_hook(self.keep)
        self.kept = None

    def keep(self, _module, _given, result):
        self.kept = result

    def forward(self, x):
        self.body(x)
        return self.body[2](self.kept) * 2


class KeptInList(Kept):
    def __init__(self):
        super().__init__()
        self.all = []

    def keep(self, _module, _given, result):
        self.all.append(result)

    def forward(self, x):
        self.body(x)
        return self.body[2](self.all[-1]) * len(self.all) * 2


@pytest.mark.parametrize("kind", [Kept, KeptInList])
def test_what_a_hook_keeps_is_of_this_call(kind):
    def call(params, x):
        hidden = F.linear(x, params["body.0.weight"], params["body.0.bias"]).tanh()
        return 2 * F.linear(hidden, params["body.2.weight"], params["body.2.bias"])

    model = kind()
    assert_as_plain(model, model, call=call)
    assert model.kept is None
    assert not getattr(model, "all", None)


def test_an_activation_that_a_user_call_left_is_no_hindrance():
    model = Kept()
    model(tasks_of().support_x[0])
    kept = model.kept
    tasks = tasks_of()
    learner = MAML(model, 0.4)
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 1)
    learner.adapt(*tasks.task(0)[:2])
    assert model.kept is kept


class Cached(nn.Module):
    """Computes part of itself once in eval mode."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.bias = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.cache = {}

    def forward(self, x):
        twice = self.bias * 2
        return self.net(x) + (twice if self.training else self.cache.setdefault("twice", twice))


def test_a_cache_in_eval_mode_is_of_this_call():
    model, tasks = Cached(), tasks_of()
    learner = MAML(model, 0.4, 2)
    loss, _ = learner.meta_gradient(tasks)
    torch.testing.assert_close(learner.evaluate(tasks, 2).losses[:, -1].mean(), loss)
    assert not model.cache


class Hidden(nn.Module):
    """Its batch norm stands in a plain list, and so is no part of it for PyTorch."""

    def __init__(self):
        super().__init__()
        self.body = mlp()
        self.others = [nn.BatchNorm1d(3).double()]

    def forward(self, x):
        return self.others[0](self.body(x))


def test_modules_in_plain_lists_stay_as_they_are():
    model = Hidden()
    before = copy.deepcopy(model.others[0].state_dict())
    tasks = tasks_of()
    learner = MAML(model, 0.4)
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 1)
    after = model.others[0].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


class Asking(nn.Module):
    """Another function where a tensor has no graph."""

    def __init__(self, ask):
        super().__init__()
        self.body, self.ask = mlp(), ask

    def forward(self, x):
        h = self.body[:2](x)
        return self.body[2](h * 3 if self.ask(h) else h)


def _double_the_gradient(h):
    if h.requires_grad:
        h.register_hook(lambda g: 2 * g)
    return False


QUESTIONS = {
    "requires_grad": lambda h: h.requires_grad,
    "grad_fn": lambda h: h.grad_fn is not None,
    "hook": _double_the_gradient,
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_model_that_looks_at_its_graph_is_computed_by_the_loop(ask):
    """With 16 tasks, which are vectorised where that changes nothing."""
    model, tasks = Asking(ask), tasks_of(16)
    expected = plain_meta_gradient(model, tasks, 0.4, 2)[1]
    for name in ("loop", "flat", "auto"):
        found = MAML(model, 0.4, 2, **PATHS[name]).meta_gradient(tasks)[1]
        assert deviation(found, expected) < 1e-10
    with pytest.raises(InputError, match=r"cannot be vectorised over tasks .*which vmap hides"):
        MAML(model, 0.4, 2, execution="vectorised").meta_gradient(tasks)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_a_hook_on_the_gradient_of_a_layer():
    model, tasks = mlp(), tasks_of(16)
    model[0].register_full_backward_hook(
        lambda _m, given, _out: (3 * given[0],) if given[0] is not None else None
    )
    model[1].register_full_backward_hook(lambda _m, given, _out: (3 * given[0],))
    expected = plain_meta_gradient(model, tasks, 0.4, 2)[1]
    for name in ("loop", "flat", "auto"):
        found = MAML(model, 0.4, 2, **PATHS[name]).meta_gradient(tasks)[1]
        assert deviation(found, expected) < 1e-10
    with pytest.raises(InputError, match="cannot be vectorised"):
        MAML(model, 0.4, 2, execution="vectorised").meta_gradient(tasks)


class Force(nn.Module):
    """The derivative of an energy by the place."""

    def __init__(self, enable):
        super().__init__()
        self.net, self.enable = mlp(), enable

    def forward(self, x):
        with torch.set_grad_enabled(True) if self.enable else torch.enable_grad():
            x = x.requires_grad_()
            u = self.net(x)
            (du,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return u + du[:, :3]


class PlainForce(Force):
    def forward(self, x):
        x = x.requires_grad_()
        u = self.net(x)
        (du,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return u + du[:, :3]


@pytest.mark.parametrize("kind", [Force, PlainForce])
@pytest.mark.parametrize("examples", [6, 1])
def test_a_model_that_differentiates_by_its_input(kind, examples):
    """In each inner step by an input of its own, and wherever gradients were off before."""
    torch.manual_seed(0)
    model, tasks = kind(True), tasks_of(examples=examples)

    def call(params, x):
        return torch.func.functional_call(model, params, (x.clone(),))

    assert_as_plain(model, model, tasks, paths=("loop", "flat", "auto"), call=call)
    learner = MAML(model, 0.4, 2)
    loss = learner.meta_gradient(tasks)[0]
    torch.testing.assert_close(learner.evaluate(tasks, 2).losses[:, -1].mean(), loss)
    assert not tasks.support_x.requires_grad


class Transformed(nn.Module):
    """Takes derivatives by torch.func."""

    def __init__(self, transform):
        super().__init__()
        self.net, self.transform = mlp(), transform

    def forward(self, x):
        energy = lambda one: self.net(one).square().sum()  # noqa: E731
        more = torch.func.vmap(self.transform(energy))(x)
        return self.net(x) + more.flatten(1)[:, :3]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.hessian])
def test_a_model_that_uses_torch_func(transform):
    model = Transformed(transform)
    assert_as_plain(model, model)


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
    y = tasks_of().support_y
    assert_as_plain(model, plain, TaskBatch(x, y, x, y))


@pytest.mark.parametrize("settings", [{"padding_idx": 1}, {"scale_grad_by_freq": True}])
def test_what_vmap_would_leave_out_of_an_embedding(settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4, **settings), nn.Flatten(), nn.Linear(12, 3)).double()
    x, y = torch.randint(5, (16, 6, 3)), tasks_of(16).support_y
    tasks = TaskBatch(x, y, x, y)
    expected = MAML(model, 0.4, 2, execution="loop").meta_gradient(tasks)[1]
    assert deviation(MAML(model, 0.4, 2).meta_gradient(tasks)[1], expected) < 1e-10
    learner = MAML(model, 0.4, 2, execution="vectorised")
    if "padding_idx" in settings:
        assert deviation(learner.meta_gradient(tasks)[1], expected) < 1e-10
    else:
        with pytest.raises(InputError, match=r"layer '0' .* cannot be vectorised"):
            learner.meta_gradient(tasks)


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.body, self.head, self.reentrant = nn.Linear(4, 4), nn.Linear(4, 3), reentrant

    def forward(self, x):
        return self.head(checkpoint(self.body, x, use_reentrant=self.reentrant))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_is_refused(reentrant):
    with pytest.raises(InputError, match="uses activation checkpointing"):
        MAML(Checkpointed(reentrant).double()).meta_gradient(tasks_of())


def test_dropout_that_comes_later():
    torch.manual_seed(0)
    model, tasks = mlp(), tasks_of(16)
    model.insert(2, nn.Dropout(0.0))
    learner = MAML(model, 0.4, 2)
    learner.meta_gradient(tasks)
    model[2].p = 0.5
    torch.manual_seed(3)
    found = learner.meta_gradient(tasks)[1]
    torch.manual_seed(3)
    expected = MAML(model, 0.4, 2, execution="loop").meta_gradient(tasks)[1]
    assert deviation(found, expected) < 1e-12


class Depth(nn.Module):
    """Leaves a layer out at random (stochastic depth)."""

    def __init__(self, draw):
        super().__init__()
        self.body, self.more, self.draw = mlp(), nn.Linear(6, 6).double(), draw

    def forward(self, x):
        h = self.body[:2](x)
        if self.training and self.draw() < 0.5:
            h = self.more(h).tanh()
        return self.body[2](h)


DRAWS = {
    "torch": lambda: torch.rand(()),
    "python": random.random,
    "numpy": numpy.random.rand,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_random_depth_is_drawn_for_each_task_whatever_the_path(draw):
    model, tasks, found = Depth(draw), tasks_of(16), {}
    before = random.getstate(), numpy.random.get_state()[1].tolist()
    for name in ("loop", "flat", "auto"):
        torch.manual_seed(3)
        found[name] = MAML(model, 0.4, 3, **PATHS[name]).meta_gradient(tasks)[1]
    assert deviation(found["flat"], found["loop"]) < 1e-10
    assert deviation(found["auto"], found["loop"]) < 1e-12
    assert (random.getstate(), numpy.random.get_state()[1].tolist()) == before
    with pytest.raises(InputError, match=r"vectorise|vmap"):
        MAML(model, 0.4, 3, execution="vectorised").meta_gradient(tasks)


class InPlace(nn.Module):
    """Changes what it is called with."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        x -= 1
        return self.net(x)


def test_inputs_that_a_model_changes_are_copies():
    model, tasks = InPlace(), tasks_of()
    before = tasks.support_x.clone(), tasks.query_x.clone()
    reference = lambda params, x: torch.func.functional_call(model, params, (x.clone(),))  # noqa: E731
    assert_as_plain(model, model, tasks, call=reference)
    assert torch.equal(tasks.support_x, before[0])
    assert torch.equal(tasks.query_x, before[1])


class Clipped(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        self.net[0].weight.data.clamp_(-0.1, 0.1)
        return self.net(x)


def test_a_parameter_that_is_changed_in_place_is_named():
    model = Clipped()
    before = model.net[0].weight.clone()
    with pytest.raises(InputError, match=r"changes its parameter 'net.0.weight' in place"):
        MAML(model).meta_gradient(tasks_of())
    assert torch.equal(model.net[0].weight, before)


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
    tasks, model = tasks_of(), Distances(p, pairs)
    learner = MAML(model, 0.2, 2)
    slopes = slopes_of(
        lambda: learner.evaluate(tasks, 2).losses[:, -1].mean(), dict(model.named_parameters())
    )
    for path in PATHS.values():
        found = MAML(model, 0.2, 2, **path).meta_gradient(tasks)[1]
        assert relative_error(found, slopes) < 1e-6
