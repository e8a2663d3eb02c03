"""The implicit gradient is that of the inner loop's minimum."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, jacrev

from fewstep import MAML, ImplicitMAML, InputError, TaskBatch
from fewstep.learners.imaml import conjugate_gradient
from tests.factory import make_tasks
from tests.learners.shared import (
    WAYS,
    assert_adapted_as_evaluated,
    assert_same_gradient,
    assert_unchanged_by_calls,
    gradient_error,
)

CONVERGED = {"inner_lr": 0.2, "inner_steps": 50, "proximal": 2.0, "cg_steps": 30}


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, WAYS)).double()


def test_the_closed_form_of_a_linear_regression():
    """phi = (H + lambda I)^-1 (2 X'y / n + lambda theta), for the mean squared error."""
    x, y, query, target = (torch.randn(6, width, dtype=torch.float64) for width in (3, 1, 3, 1))
    linear, proximal = nn.Linear(3, 1, bias=False).double(), 1.5
    hessian, identity = 2 * x.T @ x / 6, torch.eye(3, dtype=torch.float64)
    theta = linear.weight.detach().T
    phi = torch.linalg.solve(
        hessian + proximal * identity, 2 * x.T @ y / 6 + proximal * theta
    ).requires_grad_()
    loss = F.mse_loss(query @ phi, target)
    (at_phi,) = torch.autograd.grad(loss, phi)
    expected = torch.linalg.solve(identity + hessian / proximal, at_phi)
    settings = {"proximal": proximal, "cg_steps": 3, "loss": F.mse_loss}
    learner = ImplicitMAML(linear, 0.1, 100, **settings)
    own_loss, own = learner.meta_gradient(TaskBatch(x[None], y[None], query[None], target[None]))
    torch.testing.assert_close(own_loss, loss.detach())
    torch.testing.assert_close(own["weight"], expected.T)


class _Words(nn.Module):
    """The mean of word vectors; support and query sets use other words."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Parameter(torch.randn(7, 3, dtype=dtype))
        self.hidden = nn.Linear(3, 4, dtype=torch.float64)
        self.head = nn.Linear(4, WAYS, dtype=torch.float64)

    def forward(self, x):
        words = self.words[x].mean(1)
        words = words.real + words.imag if words.is_complex() else words
        return self.head(torch.relu(self.hidden(words)))


def _word_tasks():
    """Words 0 to 3 in support sets, 2 to 6 in query sets."""
    draw = torch.Generator().manual_seed(1)
    y = torch.arange(WAYS).repeat(2, 2)
    support, query = (torch.randint(*ends, (2, 6, 2), generator=draw) for ends in ((0, 4), (2, 7)))
    return TaskBatch(support, y, query, y)


def _dense_implicit_gradient(model, tasks, steps, lr, proximal):
    """The mean over tasks of (I + H / lambda)^-1 times the query gradient, H as a matrix."""
    names, start = zip(*((n, p.detach()) for n, p in model.named_parameters()), strict=True)
    # Complex numbers as pairs of real ones, of which plain derivatives are taken.
    real = [torch.view_as_real(p) if p.is_complex() else p for p in start]
    sizes, theta = [p.numel() for p in real], torch.cat([p.flatten() for p in real])

    def loss(vector, x, y):
        parts = [p.view(r.shape) for p, r in zip(vector.split(sizes), real, strict=True)]
        pairs = zip(parts, start, strict=True)
        values = [torch.complex(*p.unbind(-1)) if s.is_complex() else p for p, s in pairs]
        named = dict(zip(names, values, strict=True))
        return F.cross_entropy(functional_call(model, named, (x,)), y)

    found = []
    for number in range(len(tasks)):
        support_x, support_y, query_x, query_y = tasks.task(number)
        phi = theta
        for _ in range(steps):
            inner = grad(loss)(phi, support_x, support_y)
            phi = phi - lr * (inner + proximal * (phi - theta))
        hessian = jacrev(grad(loss))(phi, support_x, support_y)
        assert (phi == theta).any()
        at_phi = grad(loss)(phi, query_x, query_y)
        matrix = torch.eye(len(theta), dtype=torch.float64) + hessian / proximal
        found.append(torch.linalg.solve(matrix, at_phi))
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_parameters_that_have_not_moved(execution, dtype):
    """Dead units and unused words are held near theta as all others are."""
    network = _Words(dtype)
    with torch.no_grad():
        network.hidden.bias[1] = -9.0
    settings = {"inner_lr": 0.1, "inner_steps": 60, "proximal": 2.0}
    learner = ImplicitMAML(network, **settings, cg_steps=60, execution=execution)
    gradient = learner.meta_gradient(_word_tasks())[1].values()
    real = [torch.view_as_real(g) if g.is_complex() else g for g in gradient]
    expected = _dense_implicit_gradient(network, _word_tasks(), 60, 0.1, 2.0)
    torch.testing.assert_close(torch.cat([g.flatten() for g in real]), expected)


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_finite_differences_of_the_converged_inner_loop(execution):
    learner = ImplicitMAML(model(), execution=execution, **CONVERGED)
    assert gradient_error(learner, make_tasks(2)) < 1e-6


@pytest.mark.parametrize("change", [{"cg_steps": 0}, {"inner_steps": 1}])
def test_what_is_not_solved_is_noticed(change):
    learner = ImplicitMAML(model(), **{**CONVERGED, **change})
    assert gradient_error(learner, make_tasks(2)) > 1e-3


def test_each_task_has_a_solution_of_its_own():
    tasks = make_tasks(3)
    loop, stacked = (
        ImplicitMAML(model(), 0.2, 3, cg_steps=4, execution=e) for e in ("loop", "vectorised")
    )
    assert_same_gradient(loop, stacked, tasks)


def test_conjugate_gradient_solves_each_system():
    root = torch.randn(2, 4, 4, dtype=torch.float64)
    matrix = root @ root.mT + torch.eye(4, dtype=torch.float64)
    b = torch.randn(2, 4, dtype=torch.float64)
    found = conjugate_gradient(lambda v: (matrix @ v[..., None])[..., 0], b, 8)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, b))


def test_conjugate_gradient_stops_at_negative_curvature():
    matrix = torch.diag(torch.tensor([-1.0, 2.0]))
    b = torch.tensor([1.0, 0.0])
    assert torch.equal(conjugate_gradient(lambda v: matrix @ v, b, 5), b)


def test_conjugate_gradient_stops_at_answers_longer_than_b():
    """A step of 10 along the second axis, where A is 0.1, is what a convex loss cannot ask for."""
    matrix = torch.diag(torch.tensor([2.0, 0.1]))
    b = torch.tensor([1.0, 1.0])
    found = conjugate_gradient(lambda v: matrix @ v, b, 5)
    torch.testing.assert_close(found, b * (2.0 / 2.1))


def test_conjugate_gradient_points_the_way_of_b():
    """Also where A is large along b: from x = b on, the first step overshoots."""
    root = torch.randn(20, 20, dtype=torch.float64)
    matrix = torch.eye(20, dtype=torch.float64) + 100 * root @ root.mT
    b = torch.randn(20, dtype=torch.float64)
    lengths = [0.0]
    for steps in (1, 2, 5, 20):
        found = conjugate_gradient(lambda v: matrix @ v, b, steps)
        assert found @ b > 0
        lengths.append(found.norm().item())
    assert sorted(lengths) == lengths
    assert lengths[-1] < b.norm()


def test_the_proximal_term_holds_adaptation_back():
    tasks = make_tasks(2)
    support = tasks.support_x[0], tasks.support_y[0]

    def distance(learner):
        pairs = zip(learner.adapt(*support, 20).parameters(), model().parameters(), strict=True)
        return sum((one - other).detach().square().sum() for one, other in pairs)

    held, free = ImplicitMAML(model(), 0.1, proximal=5.0), MAML(model(), 0.1)
    assert distance(held) < 0.2 * distance(free)


def test_an_adapted_module_does_as_the_evaluation_says():
    assert_adapted_as_evaluated(ImplicitMAML(model(), 0.2), make_tasks(2), 3)


def test_no_call_changes_the_model():
    assert_unchanged_by_calls(ImplicitMAML(model(), 0.2), make_tasks(2))


def test_no_graph_of_the_inner_loop_is_kept():
    """The tensors that autograd saves do not grow with the inner steps."""

    def saved(steps):
        total = 0

        def count(tensor):
            nonlocal total
            total = max(total, sum(1 for _ in live) + 1)
            return Kept(tensor)

        live = set()

        class Kept:
            def __init__(self, tensor):
                self.tensor = tensor
                live.add(id(self))

            def __del__(self):
                live.discard(id(self))

        with torch.autograd.graph.saved_tensors_hooks(count, lambda kept: kept.tensor):
            ImplicitMAML(model(), 0.1, steps, execution="loop").meta_gradient(make_tasks(2))
        return total

    assert saved(12) == saved(2)


def test_batch_statistics_are_refused():
    network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, WAYS))
    with pytest.raises(InputError, match="implicit MAML with batch norm '1' in training mode"):
        ImplicitMAML(network)
    network[1].eval()
    network[1].running_mean.fill_(0.1)
    learner = ImplicitMAML(network)
    network[1].train()
    with pytest.raises(InputError, match="choose group norm"):
        learner.meta_gradient(make_tasks(2))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"proximal": 0.0}, "proximal is 0.0; expected more than 0"),
        ({"cg_steps": -1}, "cg_steps is -1; expected 0 or more"),
        ({"inner_lr": 1.0, "proximal": 2.0}, "their product is less than 2"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(InputError, match=message):
        ImplicitMAML(model(), **setting)
