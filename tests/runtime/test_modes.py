"""Precision, where it was asked for and nowhere else; threads take turns."""

import threading

import pytest
import torch
from torch import nn

from fewstep import MAML
from fewstep.runtime.modes import arithmetic_of
from tests.factory import cnn, make_pictures, make_tasks


def _gradient(precision, **settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    _, gradient = MAML(model, 0.5, 2, precision=precision, **settings).meta_gradient(
        make_tasks(4, shape=(8,), dtype=torch.float32)
    )
    return gradient


def _distance(one, other):
    return sum((one[n] - g).square().sum() for n, g in other.items()).sqrt()


@pytest.mark.parametrize("settings", [{}, {"execution": "loop", "memory": "flat"}])
def test_bfloat16_rounds_the_model_and_not_the_gradients(settings):
    exact, rounded = _gradient("float32", **settings), _gradient("bf16", **settings)
    length = sum(g.square().sum() for g in exact.values()).sqrt()
    assert 1e-4 < _distance(rounded, exact) / length < 0.1
    assert {g.dtype for g in rounded.values()} == {torch.float32}


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_autocast_of_a_caller_reaches_no_derivative(execution):
    """The precision is a setting of the learner; of a backward pass PyTorch's is none."""
    expected = _gradient("float32", execution=execution)
    with torch.autocast("cpu", torch.bfloat16):
        found = _gradient("float32", execution=execution)
        assert torch.is_autocast_enabled("cpu")
    assert _distance(found, expected) == 0


@pytest.mark.parametrize("layer", [nn.Identity(), nn.BatchNorm1d(16)], ids=["whole", "by step"])
def test_compiled_functions_round_too(layer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), layer, nn.Tanh(), nn.Linear(16, 3))
    compiled = MAML(model, 0.5, 2, precision="bf16", compile=True)
    exact, rounded, found = (
        learner.meta_gradient(make_tasks(4, shape=(8,), dtype=torch.float32))[1]
        for learner in (MAML(model, 0.5, 2), MAML(model, 0.5, 2, precision="bf16"), compiled)
    )
    # Not at the same places: a compiled function writes down fewer values in between.
    assert 0.3 < _distance(found, exact) / _distance(rounded, exact) < 3
    # The precision of a learner can be changed; its compiled functions with it.
    compiled.precision = "float32"
    _, found = compiled.meta_gradient(make_tasks(4, shape=(8,), dtype=torch.float32))
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_the_flags_of_a_gpu_are_given_back(precision):
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    with arithmetic_of(precision):
        assert [backend.allow_tf32 for backend in backends] == 2 * [precision == "tf32"]
        assert torch.backends.cudnn.deterministic
    assert [backend.allow_tf32 for backend in backends] == before
    assert not torch.backends.cudnn.deterministic


CHOICES = {
    "all": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "none": lambda: setattr(torch.backends, "fp32_precision", "ieee"),
    "products": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "cudnn": lambda: setattr(torch.backends.cudnn, "fp32_precision", "ieee"),
    "convolutions": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "older": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
}


@pytest.fixture
def chosen():
    """What PyTorch is told, which it forgets in the end."""
    yield
    torch.backends.fp32_precision = torch.backends.cudnn.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def _told():
    """Each setting of TF32; None where PyTorch refuses to tell."""
    backends = torch.backends
    newer = (backends, backends.cuda.matmul, backends.cudnn, backends.cudnn.conv)
    told = [kind.fp32_precision for kind in (*newer, backends.cudnn.rnn)]
    older = (
        torch.get_float32_matmul_precision,
        lambda: backends.cuda.matmul.allow_tf32,
        lambda: backends.cudnn.allow_tf32,
    )
    for ask in older:
        try:
            told.append(ask())
        except RuntimeError:
            told.append(None)
    return told


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("choice", CHOICES)
def test_however_a_user_chose_tf32(choice, precision, chosen):
    CHOICES[choice]()
    before, wanted = _told(), "tf32" if precision == "tf32" else "ieee"
    with arithmetic_of(precision):
        _, products, _, convolutions, recurrences, *_, older, of_cudnn = _told()
        assert {products, convolutions, recurrences} == {wanted}
        assert {older, of_cudnn} == {precision == "tf32"}
        with torch.backends.cudnn.flags(enabled=False):
            pass
    after = _told()
    assert after[:5] == before[:5]
    # What was not told may be.
    assert all(b in (None, a) for b, a in zip(before[5:], after[5:], strict=True))


def test_four_threads_get_what_one_gets():
    learner = MAML(cnn(dtype=torch.float64), 0.4, 2)
    tasks = make_pictures(2, dtype=torch.float64)
    parameters = list(learner.model.parameters())
    values = [p.detach().clone() for p in parameters]
    expected, found = learner.meta_gradient(tasks)[1], []

    def work():
        for _ in range(10):
            found.append(learner.meta_gradient(tasks)[1])
            learner.evaluate(tasks, 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(torch.equal(one[n], expected[n]) for one in found for n in expected)
    assert all(a is b for a, b in zip(parameters, learner.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(parameters, values, strict=True))
