"""The meta-gradient equals central finite differences, whatever the layer and the path."""

import functools

import pytest
import torch
import torch.nn.functional as F

import fewstep
from fewstep import InputError
from tests.exactness.cases import CASES, CLASSES, Case
from tests.exactness.paths import LOOPS, PATHS, TOLERANCE, VECTORISED
from tests.plain import deviation
from tests.shares import meta_gradient
from tests.slopes import relative_error, slopes_of

SETTINGS = [(case, norm) for case in CASES for norm in case.norms]


EVERY_PATH = [
    (case, norm, path) for case, norm in SETTINGS for path in (PATHS if case.vectorised else LOOPS)
]


def _id(value):
    return getattr(value, "name", str(value))


def _loss_and_gradient(learner, tasks):
    torch.manual_seed(2)
    return learner.meta_gradient(tasks)


@functools.cache
def _gradient(case: Case, norm: str, steps: int, path: str):
    learner = case.learner(steps, norm=norm, **PATHS[path])
    return _loss_and_gradient(learner, case.tasks())[1]


@functools.cache
def _slopes(case: Case, norm: str, steps: int):
    learner, tasks = case.learner(steps, norm=norm, order="first"), case.tasks()
    return slopes_of(
        lambda: _loss_and_gradient(learner, tasks)[0],
        dict(learner.named_parameters()),
        directions=4,
    )


STEPS = 3
"""A first, a middle and a last one."""


@pytest.mark.parametrize("steps", [1, STEPS])
@pytest.mark.parametrize(("case", "norm", "path"), EVERY_PATH, ids=_id)
def test_finite_differences(case, norm, path, steps):
    gradient = _gradient(case, norm, steps, path)
    assert relative_error(gradient, _slopes(case, norm, steps)) < TOLERANCE


@pytest.mark.parametrize("path", PATHS)
def test_later_steps_are_exact_too(path):
    (case,) = (case for case in CASES if case.name == "tanh")
    gradient = _gradient(case, "inductive", 5, path)
    assert relative_error(gradient, _slopes(case, "inductive", 5)) < TOLERANCE


@pytest.mark.parametrize(("case", "norm", "path"), EVERY_PATH, ids=_id)
def test_all_paths_give_the_same_gradient(case, norm, path):
    expected = _gradient(case, norm, STEPS, "loop")
    assert deviation(_gradient(case, norm, STEPS, path), expected) < 1e-10


COMPILED = ("tanh", "convolutional-block", "tied", "dropout")
"""A sample for every day; ``make compiled`` compiles all cases."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case.name in COMPILED else pytest.mark.compiled)
        for case in CASES
    ],
    ids=_id,
)
def test_compiled(case, caplog):
    for steps in (1, STEPS):
        _, gradient = _loss_and_gradient(case.learner(steps, compile=True), case.tasks())
        assert deviation(gradient, _gradient(case, "transductive", steps, "loop")) < 1e-10
        assert relative_error(gradient, _slopes(case, "transductive", steps)) < TOLERANCE
    told = [r.getMessage() for r in caplog.records if r.name == "fewstep" and r.levelno > 20]
    assert all(text.startswith("random layers are not compiled") for text in told)
    assert bool(told) == ("dropout" in case.name)


@pytest.mark.parametrize(("case", "norm"), SETTINGS, ids=_id)
def test_ranks_give_the_same_gradient(case, norm):
    learner, tasks = case.learner(STEPS, norm=norm), case.tasks()
    torch.manual_seed(2)
    _, gradient = meta_gradient(learner, tasks)
    assert deviation(gradient, _gradient(case, norm, STEPS, "loop")) < 1e-10


@pytest.mark.parametrize("path", VECTORISED)
@pytest.mark.parametrize("case", [case for case in CASES if not case.vectorised], ids=_id)
def test_what_cannot_be_vectorised_says_so(case, path):
    with pytest.raises(
        InputError, match=r'^layer .* cannot be vectorised over tasks .*execution="loop"'
    ):
        _gradient(case, "transductive", 1, path)


@pytest.mark.parametrize(("case", "norm"), SETTINGS, ids=_id)
def test_a_dropped_second_derivative_is_noticed(case, norm):
    learner = case.learner(STEPS, norm=norm, order="first")
    _, gradient = _loss_and_gradient(learner, case.tasks())
    assert relative_error(gradient, _slopes(case, norm, STEPS)) > 1000 * TOLERANCE


def test_statistics_taken_for_constants_are_noticed(monkeypatch):
    """The error of vmap(grad(...)): batch norm as if mean and variance did not depend on x."""

    def batch_norm(x, weight, bias, eps):
        mean, var = x.mean(0).detach(), x.var(0, unbiased=False).detach()
        return (x - mean) * (var + eps).rsqrt() * weight + bias

    case = next(case for case in CASES if case.name == "batch-norm-1d")
    slopes = _slopes(case, "transductive", STEPS)
    monkeypatch.setattr("fewstep.functional.call.by_own_statistics", batch_norm)
    _, gradient = _loss_and_gradient(case.learner(STEPS), case.tasks())
    assert relative_error(gradient, slopes) > 1000 * TOLERANCE


def test_first_order_is_the_adapted_query_gradient():
    case = next(case for case in CASES if case.name == "batch-norm-2d")
    tasks = case.tasks()
    expected = None
    for number in range(len(tasks)):
        model = case.model()
        for _ in range(3):
            loss = F.cross_entropy(model(tasks.support_x[number]), tasks.support_y[number])
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.2 * gradient
        loss = F.cross_entropy(model(tasks.query_x[number]), tasks.query_y[number]) / len(tasks)
        loss.backward()
        found = {name: p.grad for name, p in model.named_parameters()}
        expected = {n: expected[n] + g for n, g in found.items()} if expected else found
    for settings in PATHS.values():
        _, gradient = case.learner(3, order="first", **settings).meta_gradient(tasks)
        assert deviation(gradient, expected) < 1e-12


def test_equation_of_one_step_with_the_hessian_written_out():
    """d L_query(theta - a g) = (I - a H) grad L_query, with H from torch.autograd."""
    case = next(case for case in CASES if case.name == "linear")
    tasks = case.tasks(number=1)
    model, rate = case.model(), 0.2
    sizes = [parameter.numel() for parameter in model.parameters()]

    def loss(flat, x, y):
        weight, bias = flat.split(sizes)
        return F.cross_entropy(x @ weight.view(CLASSES, -1).T + bias, y)

    start = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    support, query = (tasks.support_x[0], tasks.support_y[0]), (tasks.query_x[0], tasks.query_y[0])
    hessian = torch.autograd.functional.hessian(lambda flat: loss(flat, *support), start)
    adapted = start - rate * torch.func.grad(loss)(start, *support)
    expected = (torch.eye(len(start)) - rate * hessian) @ torch.func.grad(loss)(adapted, *query)
    _, gradient = case.learner(1, model).meta_gradient(tasks)
    torch.testing.assert_close(
        torch.cat([g.flatten() for g in gradient.values()]), expected, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("case", [case for case in CASES if case.single], ids=_id)
def test_single_precision_works_too(case):
    """PyTorch picks its fused kernels by the type; float32 has some that float64 has not."""
    double = _gradient(case, "transductive", STEPS, "loop")
    tasks = case.tasks()
    single = fewstep.TaskBatch(
        tasks.support_x.float(), tasks.support_y, tasks.query_x.float(), tasks.query_y
    )
    for settings in LOOPS.values():
        torch.manual_seed(2)
        learner = case.learner(STEPS, case.model().float(), **settings)
        _, gradient = learner.meta_gradient(single)
        assert deviation(gradient, double) < 1e-4
