"""Small learners and pictures."""

from dataclasses import replace

import torch
from PIL import Image
from torch import nn

import fewstep
from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.data.preparation import Preparation
from fewstep.data.source import TaskSpec
from fewstep.learners.build import learner_for

COLOUR = Preparation(size=16, channels=3)
NAMES = ["red", "green", "blue", "red", "green", "blue"]


def pictures(names=NAMES):
    """Pictures of one colour each, of many sizes."""
    return [Image.new("RGB", (20 + 3 * i, 30), name) for i, name in enumerate(names)]


def network(outputs=3, channels=3):
    """For pictures of 16x16, with batch norm."""
    torch.manual_seed(0)
    return fewstep.models.conv4(channels, 16, outputs, filters=8)


def of_pictures(outputs=3, **settings):
    """A learner that knows how its pictures are prepared."""
    learner = fewstep.MAML(network(outputs), inner_lr=0.1, inner_steps=3, **settings)
    learner.preparation = COLOUR
    return learner


def of_run(algorithm="maml", **changes):
    """A learner as a run of the command line has it."""
    config = with_algorithm(RECIPES["glyphs-5way-1shot"].config, algorithm)
    config = replace(config, filters=8, test_inner_steps=3, **changes)
    learner = learner_for(config, TaskSpec.classification((3, 16, 16), config.n_way, 7))
    learner.preparation, learner.config = COLOUR, config
    return learner


def of_rows(outputs=3, width=4):
    """A learner for rows of numbers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, outputs))
    return fewstep.ProtoMAML(model, inner_lr=0.1, inner_steps=3)


def of_numbers(outputs=1, width=2):
    """A learner of a regression."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, outputs))
    return fewstep.MAML(model, inner_lr=0.05, inner_steps=5, inner_optimizer="adam", loss="mse")
