"""One learner of each kind, on one small model and its tasks."""

import dataclasses

import pytest
import torch
from torch import nn

from fewstep import MAML, FineTune, ImplicitMAML, ProtoMAML, ProtoNet, Reptile
from tests.factory import make_tasks
from tests.learners.shared import WAYS

WIDTH = 4


class Scaled(nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, prediction, target):
        return self.scale * nn.functional.cross_entropy(prediction, target)


def model(*middle):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, 6), *middle, nn.Tanh(), nn.Linear(6, WAYS)).double()


def plus_plus(**settings):
    parts = {"step_sizes": "per-step", "per_step_affine": True, "per_step_statistics": True}
    return MAML(model(nn.BatchNorm1d(6)), 0.3, 2, multi_step_loss=9, **parts, **settings)


LEARNERS = {
    "maml": lambda: MAML(model(), 0.3, 2),
    "with a loss of its own": lambda: MAML(model(), 0.3, 2, loss=Scaled().double()),
    "with dropout": lambda: MAML(model(nn.Dropout(0.5)), 0.3, 2),
    "vectorised": lambda: MAML(model(), 0.3, 2, execution="vectorised"),
    "maml++": plus_plus,
    "reptile": lambda: Reptile(model(), 0.3, 2),
    "imaml": lambda: ImplicitMAML(model(), 0.3, 8, proximal=2.0),
    "protomaml": lambda: ProtoMAML(model(), 0.3, 2),
    "protonet": lambda: ProtoNet(model()),
    "finetune": lambda: FineTune(model(), WAYS + 1),
}
every_learner = pytest.mark.parametrize("make", LEARNERS.values(), ids=LEARNERS)


def tasks(number=2):
    batch = make_tasks(number, seed=1)
    classes = torch.stack([torch.arange(WAYS), torch.arange(WAYS) + 1]).repeat(number, 1)[:number]
    return dataclasses.replace(batch, classes=classes)


def seeded(call, *arguments):
    torch.manual_seed(3)
    return call(*arguments)
