"""Probabilities after every number of inner steps, as an adapted model gives them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewstep.data.preparation import Preparation
from fewstep.demo.starts import STEPS, Start
from fewstep.learners.finetune import FineTune
from fewstep.learners.maml import MAML
from fewstep.learners.protonet import ProtoNet
from fewstep.models import conv4
from fewstep.predictors.adapt import adapt_classifier
from tests.demo.pictures import drawn

HOW = Preparation(28, 1, ink=True)
LEARNERS = {
    "maml": lambda model: MAML(model, inner_lr=0.1),
    "finetune": lambda model: FineTune(model, classes=5, inner_lr=0.1),
    "protonet": ProtoNet,
}


def _start(name, ways=5, **settings):
    torch.manual_seed(0)
    learner = LEARNERS[name](conv4(channels=1, size=28, ways=ways, filters=8))
    return Start(name, learner, HOW, **settings)


@pytest.mark.parametrize("name", LEARNERS)
def test_each_step_is_that_of_an_adapted_model(name):
    start = _start(name)
    start.learner.temperature = 1.5
    support, query = [drawn(n) for n in range(5)], drawn(2, seed=1)
    told = start.answer(support, range(5), query)["steps"]
    assert len(told) == (1 if name == "protonet" else STEPS + 1)
    for steps in (0, 4) if len(told) > 1 else (0,):
        adapted = adapt_classifier(start.learner, support, range(5), steps=steps, preparation=HOW)
        expected = adapted.predict_proba(query)[0]
        assert np.allclose(told[steps], expected, atol=1e-4), steps


def test_any_number_of_classes_and_examples():
    start = _start("maml")
    state = {name: value.clone() for name, value in start.learner.state_dict().items()}
    pictures = [drawn(0), drawn(0, seed=2), drawn(1)]
    told = start.answer(pictures, [0, 0, 1], drawn(0, seed=1))
    assert told["note"].startswith("the last layer is made of")
    assert all(sum(chances) == pytest.approx(1) and len(chances) == 2 for chances in told["steps"])
    assert told["steps"][-1][0] > 0.5
    assert all(torch.equal(value, state[n]) for n, value in start.learner.state_dict().items())


def test_no_more_steps_than_were_learned():
    start = _start("maml", most=3)
    pictures = [drawn(n) for n in range(5)]
    assert len(start.answer(pictures, range(5), drawn(0, seed=1))["steps"]) == 4


@pytest.mark.filterwarnings("error")
def test_a_picture_of_the_size_already_warns_of_nothing():
    # PyTorch warns once a process otherwise.
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        start = replace(_start("protonet"), preparation=Preparation(28, 1, ink=False))
        start.answer([drawn(n, side=28) for n in range(5)], range(5), drawn(2, side=28))
    finally:
        torch.set_warn_always(before)
