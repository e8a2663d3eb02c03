"""What is no learner is told in one way, wherever it is given."""

import pytest
import torch
from torch import nn

import fewstep
from fewstep import MAML, InputError
from fewstep.learners.is_learner import check_learner, is_learner
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from tests.factory import make_tasks, mlp

CALLS = {
    "evaluate": lambda learner, tasks: fewstep.evaluate(learner, tasks),
    "fit": lambda learner, tasks: fewstep.fit(learner, tasks, steps=1),
    "classifier": lambda learner, tasks: adapt_classifier(learner, *tasks.task(0)[:2]),
    "regressor": lambda learner, tasks: adapt_regressor(learner, *tasks.task(0)[:2]),
    "gradient": lambda learner, tasks: fewstep.check_gradient(learner, tasks),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (MAML, "learner is the class MAML; expected a learner, as in fewstep.MAML"),
        (nn.Linear(4, 3), "learner is a Linear; expected a learner, as in fewstep.MAML"),
        (None, "learner is a NoneType; expected a learner, as in fewstep.MAML"),
    ],
)
def test_what_is_no_learner(call, given, told):
    with pytest.raises(InputError, match=told):
        CALLS[call](given, make_tasks())


def test_learners_of_any_kind():
    learner = MAML(mlp())
    assert check_learner(learner) is learner
    assert is_learner(torch.compile(learner, backend="eager"))
