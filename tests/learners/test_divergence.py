"""Numbers that are not finite are named by their task."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fewstep import MAML, InputError, TaskBatch
from tests.factory import cnn, make_pictures, make_tasks, mlp
from tests.shares import meta_gradient

BAD = {
    "support_x": ("support_x has a number that is not finite in task 1", 0.4),
    "query_x": ("query_x has a number that is not finite in task 1", 0.4),
    "lr": (r"(parameters are|support loss is) not finite after \d+ inner steps? in task 0", 1e30),
}


@pytest.mark.parametrize(("where", "told"), BAD.items())
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named(where, told, execution, bad):
    message, lr = told
    tasks = make_pictures(3, shots=2)
    if where != "lr":
        getattr(tasks, where)[1, 2, 0, 1, 1] = bad
    with pytest.raises(InputError, match=message):
        MAML(cnn(), lr, 5, execution=execution).meta_gradient(tasks)


def test_a_task_keeps_its_number_in_another_process():
    tasks = make_pictures(4)
    tasks.query_x[3, 0] = float("nan")
    with pytest.raises(InputError, match="query_x has a number that is not finite in task 3"):
        meta_gradient(MAML(cnn()), tasks)


class Root(nn.Module):
    """Its derivative is infinite at zero, its value is not."""

    def forward(self, x):
        return x.square().sum(1, keepdim=True).sqrt() + x


def test_a_gradient_that_is_not_finite():
    model = nn.Sequential(nn.Linear(4, 3, bias=False), Root())
    x, y = torch.randn(2, 6, 4), torch.randint(3, (2, 6))
    x[1] = 0.0
    with pytest.raises(InputError, match=r"not finite"):
        MAML(model).meta_gradient(TaskBatch(x, y, x, y))


def test_spectral_norm_of_what_is_not_finite():
    model, tasks = mlp(), make_tasks()
    parametrizations.spectral_norm(model[0])
    tasks.support_x[1, 0] = float("nan")
    with pytest.raises(InputError, match="support_x has a number that is not finite in task 1"):
        MAML(model, 0.1, 2).meta_gradient(tasks)


def test_an_adaptation_that_diverges():
    x, y, *_ = make_tasks().task(0)
    with pytest.raises(InputError, match=r"not finite after \d+ inner steps?"):
        MAML(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), 1e30).adapt(
            x.float(), y, 5
        )
    x[0] = float("inf")
    with pytest.raises(InputError, match="support_x has a number that is not finite"):
        MAML(mlp()).adapt(x, y)
