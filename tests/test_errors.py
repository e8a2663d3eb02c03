"""Memory that runs out is told as such, and never as a fault of what was given."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML
from fewstep.predictors.outputs import outputs
from tests.factory import make_tasks, mlp

ERRORS = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    "cpu": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    "python": MemoryError(),
}


class Full(nn.Module):
    """Memory runs out at its call of a number."""

    def __init__(self, error, at):
        super().__init__()
        self.net, self.error, self.left = mlp(), error, iter(range(at + 1))

    def forward(self, x):
        if next(self.left, None) is None:
            raise self.error
        return self.net(x)

    def __deepcopy__(self, memo):
        raise self.error


class _Tensors:
    def tensor(self, x):
        return x


def _failing(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize("kind", ERRORS)
def test_it_is_no_fault_of_tasks_model_loss_or_metric(kind):
    error, tasks = ERRORS[kind], make_tasks()
    x = tasks.support_x[0]
    update = (lambda _: (), _failing(error))
    calls = {
        **{f"call {n}": lambda n=n: MAML(Full(error, n)).meta_gradient(tasks) for n in range(7)},
        "vectorised": lambda: MAML(Full(error, 3), execution="vectorised").meta_gradient(tasks),
        "loss": lambda: MAML(mlp(), loss=_failing(error)).meta_gradient(tasks),
        "metric": lambda: MAML(mlp(), metrics={"m": _failing(error)}).evaluate(tasks),
        "copy": lambda: MAML(Full(error, 99)).adapt(x, tasks.support_y[0]),
        "output": lambda: outputs(Full(error, -1), _Tensors(), x, together=True),
        "inner optimiser": lambda: MAML(mlp(), inner_optimizer=update),
    }
    for name, call in calls.items():
        with pytest.raises(type(error)) as found:
            call()
        assert found.value is error, name


def test_the_compiler_does_not_give_up_for_it(monkeypatch):
    error = ERRORS["gpu"]
    monkeypatch.setattr("torch.compile", lambda *_, **__: _failing(error))
    learner = MAML(mlp(), loss=F.cross_entropy, compile=True)
    with pytest.raises(torch.OutOfMemoryError):
        learner.meta_gradient(make_tasks(2))
    assert not learner._compiler.functions.given_up
