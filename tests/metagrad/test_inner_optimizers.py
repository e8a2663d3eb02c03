"""A user's own inner optimiser: what is accepted, and what is said of a wrong pair."""

from functools import partial

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError
from tests.exactness.optimizers import CLIPPED, NESTEROV, RMSPROP
from tests.factory import make_tasks, mlp

_tasks = partial(make_tasks, 9)


def _learner(optimizer, **settings):
    return MAML(mlp(), 0.1, 3, inner_optimizer=optimizer, **settings)


@pytest.mark.parametrize("pair", [RMSPROP, NESTEROV, CLIPPED])
@pytest.mark.parametrize(
    "settings",
    [{"execution": "vectorised"}, {"execution": "chunked"}, {"memory": "flat"}, {"compile": True}],
)
def test_all_paths_give_the_same(pair, settings):
    _, expected = _learner(pair, execution="loop").meta_gradient(_tasks())
    _, found = _learner(pair, **settings).meta_gradient(_tasks())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("order", ["exact", "first"])
def test_a_pair_that_returns_the_gradients_is_sgd(order):
    pair = (lambda _: (), lambda gradients, slots, _: (gradients, slots))
    found = _learner(pair, order=order).meta_gradient(_tasks())
    torch.testing.assert_close(found, _learner("sgd", order=order).meta_gradient(_tasks()))


def test_nesterov_is_that_of_torch():
    tasks, model = make_tasks(1), mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    x, y, query_x, query_y = tasks.task(0)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    found = _learner(NESTEROV).evaluate(tasks, 3).losses[0, -1]
    torch.testing.assert_close(found, nn.functional.cross_entropy(model(query_x), query_y).detach())


def _by_value(gradients, slots, _):
    """A step that vmap cannot follow."""
    return {n: g if g.sum() > 0 else 2 * g for n, g in gradients.items()}, slots


def test_one_that_looks_at_numbers_is_computed_in_a_loop():
    pair = (lambda _: (), _by_value)
    _, expected = _learner(pair, execution="loop").meta_gradient(_tasks())
    _, found = _learner(pair).meta_gradient(_tasks())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)
    with pytest.raises(InputError, match=r"optimiser cannot be vectorised .*execution=\"loop\""):
        _learner(pair, execution="vectorised").meta_gradient(_tasks())


def _none(_):
    return ()


def _in_place(gradients, slots, _):
    return {n: slots[n].add_(g) for n, g in gradients.items()}, slots


def _zeros(params):
    return {name: torch.zeros_like(value) for name, value in params.items()}


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("sdg", "expected one of sgd, momentum, adam, or a pair of functions"),
        ((_none,), "expected one of sgd, momentum, adam, or a pair of functions"),
        ((_none, None), "expected one of sgd, momentum, adam, or a pair of functions"),
        (torch.optim.SGD, "expected one of sgd, momentum, adam, or a pair of functions"),
        ((lambda: (), lambda *_: ()), r"init\(params\) .* failed \(TypeError"),
        ((lambda _: None, lambda g, s, _: (g, s)), "slots with a NoneType"),
        ((lambda _: {"n": 0}, lambda g, s, _: (g, s)), "slots with a int; expected floating"),
        ((lambda _: torch.zeros(1).long(), lambda g, s, _: (g, s)), "slots with a torch.int64"),
        ((_none, lambda g: (g, ())), r"update\(gradients, slots, step\) .* failed \(TypeError"),
        ((_none, lambda g, s, _: g), r"returned a dict; expected the pair \(updates, slots\)"),
        ((_none, lambda g, s, _: (list(g), s)), "returned updates of a list; expected a dict"),
        (
            (_none, lambda g, s, _: ({"0.bias": g["0.bias"]}, s)),
            r"of \['0.bias'\]; expected a dict",
        ),
        (
            (_none, lambda g, s, _: ({n: v.sum() for n, v in g.items()}, s)),
            r"returned \[\] of torch.float64 for '0.weight'; expected \[6, 4\] of torch.float64",
        ),
        (
            (_none, lambda g, s, _: ({n: v.float() for n, v in g.items()}, s)),
            r"returned \[6, 4\] of torch.float32 for '0.weight'; expected",
        ),
        ((_none, lambda g, s, _: (dict.fromkeys(g, 0.1), s)), "returned a float for '0.weight'"),
        ((_zeros, lambda g, s, _: (g, ())), "returned other slots than it was given"),
        ((_zeros, _in_place), "in-place operation.*; expected a pure function"),
        (
            (_none, lambda g, s, _: ({n: v.detach() for n, v in g.items()}, s)),
            "lost the way back to the gradients",
        ),
    ],
)
def test_a_wrong_pair_is_refused_in_one_line(pair, words):
    with pytest.raises(InputError, match=words) as error:
        _learner(pair)
    assert "inner_optimizer" in str(error.value)
    assert "\n" not in str(error.value)
