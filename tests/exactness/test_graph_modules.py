"""Modules that look at their graph, or take derivatives of their own."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from fewstep import MAML, InputError
from tests.exactness.paths import PATHS, assert_as_plain
from tests.factory import make_tasks, mlp
from tests.plain import deviation, plain_meta_gradient


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
def test_a_model_that_looks_at_its_graph_uses_the_loop(ask):
    """With 16 tasks, which are vectorised where that changes nothing."""
    model, tasks = Asking(ask), make_tasks(16)
    expected = plain_meta_gradient(model, tasks, 0.4, 2)[1]
    for name in ("loop", "flat", "auto"):
        found = MAML(model, 0.4, 2, **PATHS[name]).meta_gradient(tasks)[1]
        assert deviation(found, expected) < 1e-10
    with pytest.raises(InputError, match=r"cannot be vectorised over tasks .*which vmap hides"):
        MAML(model, 0.4, 2, execution="vectorised").meta_gradient(tasks)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_a_hook_on_the_gradient_of_a_layer():
    model, tasks = mlp(), make_tasks(16)
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
@pytest.mark.parametrize("ways", [3, 1])
def test_a_model_that_differentiates_by_its_input(kind, ways):
    """In each inner step by an input of its own, and wherever gradients were off before."""
    torch.manual_seed(0)
    model, tasks = (
        kind(True),
        make_tasks(shots=2 if ways > 1 else 1, queries=2 if ways > 1 else 1, ways=ways),
    )

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
        MAML(Checkpointed(reentrant).double()).meta_gradient(make_tasks())
