"""The inner loop: its optimisers, and what it keeps."""

import copy
import gc
import weakref
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

from fewstep import (
    MAML,
    check_gradient,
)
from tests.factory import cnn, make_pictures, make_tasks

network = partial(cnn, nn.Tanh(), dtype=torch.float64)
some_tasks = partial(make_pictures, shots=2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("momentum", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        ("adam", lambda p: torch.optim.Adam(p, 0.1, eps=1e-5)),
    ],
)
def test_the_inner_optimiser_is_that_of_torch_for_each_task(name, optimizer):
    tasks, found = some_tasks(), None
    learner = MAML(network(), 0.1, 3, inner_optimizer=name)
    found = learner.evaluate(tasks, 3).losses
    for number in range(len(tasks)):
        adapted = copy.deepcopy(network())
        # The bias before batch norm has a gradient of rounding alone. torch adds epsilon to the
        # root, and not within it.
        inner = optimizer([p for n, p in adapted.named_parameters() if n != "0.bias"])
        for step in range(4):
            loss = F.cross_entropy(adapted(tasks.query_x[number]), tasks.query_y[number])
            assert found[number, step].item() == pytest.approx(loss.item(), rel=2e-3)
            inner.zero_grad()
            F.cross_entropy(adapted(tasks.support_x[number]), tasks.support_y[number]).backward()
            inner.step()


@pytest.mark.parametrize("inner_optimizer", ["sgd", "momentum", "adam"])
def test_both_parts_of_complex_parameters_adapt(inner_optimizer):
    """The result is that of two real numbers each."""

    class Complex(nn.Module):
        def __init__(self, of_real):
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            weight = torch.randn(4, 3, dtype=torch.complex128, generator=generator)
            self.of_real = of_real
            self.weight = nn.Parameter(torch.view_as_real(weight).clone() if of_real else weight)

        def forward(self, x):
            weight = torch.view_as_complex(self.weight) if self.of_real else self.weight
            return (x.to(weight.dtype) @ weight).abs().square()

    losses, gradients = [], []
    for of_real in (False, True):
        learner = MAML(Complex(of_real), 0.1, 3, inner_optimizer=inner_optimizer)
        loss, gradient = learner.meta_gradient(make_tasks(2))
        losses.append(loss)
        gradients.append(gradient["weight"])
    torch.testing.assert_close(*losses, rtol=1e-10, atol=0)
    torch.testing.assert_close(torch.view_as_real(gradients[0]), gradients[1])
    assert check_gradient(MAML(Complex(False), 0.1, 2), make_tasks(2)).exact


@pytest.mark.parametrize("way", ["adapt", "evaluate"])
def test_two_copies_of_the_parameters_are_kept(way, monkeypatch):
    """However many steps are taken."""
    alive: set[int] = set()
    most = 0

    import fewstep.metagrad.inner_loop

    as_leaf_tensors = fewstep.metagrad.inner_loop.as_leaf_tensors

    def counting(params):
        nonlocal most
        made = as_leaf_tensors(params)
        for value in pytree.tree_leaves(made):
            if value.numel() > 1000:
                alive.add(id(value))
                weakref.finalize(value, alive.discard, id(value))
        gc.collect(0)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(fewstep.metagrad.inner_loop, "as_leaf_tensors", counting)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 100), nn.Linear(100, 3, bias=False))
    learner, tasks = MAML(model, 0.01), make_pictures(1)
    if way == "adapt":
        learner.adapt(*tasks.task(0)[:2], 30)
    else:
        learner.evaluate(tasks, 30)
    assert 1 <= most <= 2
