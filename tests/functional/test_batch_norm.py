"""Replacements of batch norm and instance norm."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, TaskBatch
from tests.exactness.paths import assert_as_plain
from tests.factory import cnn, make_pictures


@pytest.mark.parametrize("after", [nn.ReLU(True), nn.LeakyReLU(inplace=True)])
@pytest.mark.parametrize("kind", [nn.Sequential, type("Other", (nn.Sequential,), {})])
def test_what_follows_batch_norm_may_work_in_place(after, kind):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = kind(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            out = self.body(x)
            out += 0.1
            return self.head(after(out).mean((2, 3)))

    x, y = torch.randn(2, 4, 1, 6, 6), torch.arange(2).repeat(2, 2)
    loss, _ = MAML(Block(), 0.1).meta_gradient(TaskBatch(x, y, x, y))
    assert loss.isfinite()


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_instance_norm_with_running_statistics(norm):
    model = cnn(nn.ReLU(), nn.Dropout(0.1))
    model[1] = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    tasks = make_pictures(1)
    learner = MAML(model, 0.4, norm=norm)
    adapted = learner.adapt(tasks.support_x[0], tasks.support_y[0])
    loss = F.cross_entropy(adapted(tasks.query_x[0]), tasks.query_y[0])
    torch.testing.assert_close(loss, learner.evaluate(tasks, 1).losses[0, 1])


def test_a_batch_norm_called_twice_cannot_be_kept():
    layer = nn.BatchNorm1d(4)
    model = nn.Sequential(layer, nn.Linear(4, 4), layer, nn.Linear(4, 3))
    x, y = torch.randn(5, 4), torch.arange(5) % 3
    MAML(model).adapt(x, y, norm="transductive")
    for learner in (MAML(model), MAML(model, norm="inductive")):
        with pytest.raises(InputError, match="batch norm '0' is called more than once"):
            learner.adapt(x, y)


def test_batch_norm_without_a_bias_in_a_block():
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3))
    model = nn.Sequential(*layers).double()
    model[1].register_parameter("bias", None)
    x = torch.randn(3, 6, 1, 6, 6, dtype=torch.float64)
    y = torch.randint(3, (3, 6))
    assert_as_plain(model, model, TaskBatch(x, y, x, y))
