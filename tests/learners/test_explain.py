"""An error that a model raises: whose it is, and what to do."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError, TaskBatch
from tests.factory import make_tasks


@dataclass
class Output:
    logits: torch.Tensor


class Returning(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.net, self.kind = nn.Linear(4, 3), kind

    def forward(self, x):
        return self.kind(logits=self.net(x))


@pytest.mark.parametrize(
    ("kind", "name", "way"),
    [
        (Output, "Output", ".logits"),
        (dict, "dict", '["logits"]'),
        (namedtuple("Named", "logits"), "Named", ".logits"),
        (lambda logits: (logits, None), "tuple", "[0]"),
    ],
)
def test_predictions_that_the_loss_does_not_take(kind, name, way):
    with pytest.raises(InputError) as caught:
        MAML(Returning(kind)).meta_gradient(make_tasks(dtype=torch.float32))
    assert f"the model returned a {name} and the loss takes a tensor" in str(caught.value)
    assert f"F.cross_entropy(output{way}, y)" in str(caught.value)
    assert "\n" not in str(caught.value)


class Graph(nn.Module):
    """A layer on a graph, whose edges are a matrix."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 3)

    def forward(self, x, adj):
        return adj @ self.net(x)


def test_a_model_of_two_inputs():
    x, y, *_ = make_tasks(dtype=torch.float32).tensors
    adj = torch.rand(3, 6, 6)
    with pytest.raises(InputError, match=r"'adj'.*several inputs .* as a tuple or as a dict"):
        MAML(Graph()).meta_gradient(TaskBatch(x, y, x, y))
    smaller = (x[:, :4], adj[:, :4, :4])

    def by_name(x, adj):
        return {"adj": adj, "x": x}

    gradients = [
        MAML(Graph(), 0.0, execution=execution).meta_gradient(TaskBatch(s, y, q, y[:, :4]))
        for s, q in (
            ((x, adj), smaller),
            ({"adj": adj, "x": x}, {"adj": smaller[1], "x": smaller[0]}),
        )
        for execution in ("loop", "vectorised")
        for torch_seed in [torch.manual_seed(0)]
    ]
    for loss, _ in gradients[1:]:
        torch.testing.assert_close(loss, gradients[0][0])


@pytest.mark.parametrize(
    ("x", "cure"),
    [
        (torch.zeros(2, 6, 3, 8, 8, dtype=torch.uint8), r"x.float\(\) / 255"),
        (
            torch.zeros(2, 6, 3, 8, 8, dtype=torch.float64),
            r"are torch.float32: give x.to",
        ),
        (torch.zeros(2, 6, 8, 8, 3), r"channels first: x.permute\(0, 1, 4, 2, 3\)"),
    ],
)
def test_pictures_in_another_form(x, cure):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    y = torch.randint(3, (2, 6))
    with pytest.raises(InputError, match=cure):
        MAML(model).meta_gradient(TaskBatch(x, y, x, y))


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.net, self.error = nn.Linear(4, 3), error

    def forward(self, x):
        if self.error is not None:
            raise self.error
        return self.net(x)


@pytest.mark.parametrize("error", [RuntimeError("my own"), ValueError("my own"), KeyError("mine")])
def test_a_models_own_error_comes_through(error):
    with pytest.raises(type(error)) as caught:
        MAML(Failing(error)).meta_gradient(make_tasks(dtype=torch.float32))
    assert caught.value is error
    if not isinstance(error, KeyError):
        assert error.__notes__[-1].startswith("fewstep called the model with support examples")

    def loss(prediction, target):
        raise error

    with pytest.raises(type(error)) as caught:
        MAML(nn.Linear(4, 3), loss=loss).meta_gradient(make_tasks(dtype=torch.float32))
    assert caught.value is error


def test_integers_for_a_model_of_numbers():
    x, y = torch.zeros(2, 6, 4, dtype=torch.int64), torch.randint(3, (2, 6))
    with pytest.raises(InputError, match=r"examples are integers .* give x.to\(torch.float32\)"):
        MAML(nn.Linear(4, 3)).meta_gradient(TaskBatch(x, y, x, y))
