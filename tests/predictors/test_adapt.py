"""A learner and a support set make an adapted model."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fewstep
from fewstep import InputError
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from tests.predictors.shared import (
    COLOUR,
    NAMES,
    network,
    of_numbers,
    of_pictures,
    of_run,
    pictures,
)
from tests.snapshot import differences, snapshot

X = torch.eye(4)


def test_it_predicts_what_the_learner_adapts_to():
    learner = of_pictures()
    found = adapt_classifier(learner, pictures(), NAMES, steps=4)
    x = found.form.tensor(pictures())
    module = learner.adapt(x, torch.tensor([2, 1, 0, 2, 1, 0]), 4)
    with torch.no_grad():
        expected = module(x).double().softmax(1)
    assert np.allclose(found.predict_proba(pictures()), expected, atol=1e-6)
    assert found.about["protocol"] == {
        "learner": "MAML",
        "algorithm": None,
        "inner_steps": 4,
        "inner_lr": 0.1,
        "norm": "inductive",
        "shots": [2, 2, 2],
        "note": "",
    }


def test_the_learner_stays_as_it_is():
    learner = of_pictures()
    before = snapshot(learner.model), {n: v.clone() for n, v in learner.state_dict().items()}
    state = torch.get_rng_state()
    adapted = adapt_classifier(learner, pictures(), NAMES)
    adapted.predict(pictures())
    assert differences(before[0], snapshot(learner.model)) == []
    assert all(torch.equal(v, before[1][n]) for n, v in learner.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_what_the_learner_knows_is_used_unless_given():
    learner = of_run()
    learner.temperature = 2.5
    own = adapt_classifier(learner, pictures(), NAMES)
    assert (own.preparation, own.temperature) == (COLOUR, 2.5)
    assert own.about["protocol"]["algorithm"] == "maml"
    given = adapt_classifier(learner, pictures(), NAMES, temperature=1.0, threshold=0.5)
    assert (given.temperature, given.threshold) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("algorithm", "steps", "told"),
    [
        ("maml", 3, ""),
        ("protomaml", 3, ""),
        ("protonet", 0, ""),
        ("finetune", 3, ""),
        ("maml++", 3, ""),
    ],
)
def test_the_steps_are_those_of_the_runs_validation(algorithm, steps, told):
    learner = of_run(algorithm, n_way=3)
    found = adapt_classifier(learner, pictures(), NAMES).about["protocol"]
    assert (found["inner_steps"], found["note"]) == (steps, told)


@pytest.mark.parametrize("algorithm", ["maml", "anil", "boil", "cavia", "reptile", "finetune"])
def test_any_number_of_classes_and_uneven_shots(algorithm):
    learner = of_run(algorithm)
    names = ["red", "green", "blue", "black", "white", "yellow", "red"]
    found = adapt_classifier(learner, pictures(names), names)
    assert len(found.classes) == 6
    assert found.predict_proba(pictures(names)).shape == (7, 6)
    assert found.about["protocol"]["shots"] == [1, 1, 1, 2, 1, 1]
    assert "6" in found.about["protocol"]["note"]


@pytest.mark.parametrize(
    ("loss", "is_regression"),
    [
        ("mse", True),
        (F.l1_loss, True),
        (torch.nn.HuberLoss(), True),
        ("cross_entropy", False),
        (torch.nn.CrossEntropyLoss(), False),
    ],
)
def test_the_loss_says_what_a_learner_is_for(loss, is_regression):
    learner = fewstep.MAML(torch.nn.Linear(4, 2), loss=loss)
    wrong = adapt_classifier if is_regression else adapt_regressor
    kind = "regression" if is_regression else "classification"
    with pytest.raises(InputError, match=f"the learner is of a {kind} by its loss"):
        wrong(learner, X, [0, 1, 0, 1])


@pytest.mark.parametrize("given", [network(), fewstep.MAML, "runs/mine", None])
def test_what_is_no_learner(given):
    for adapt in (adapt_classifier, adapt_regressor):
        with pytest.raises(InputError, match=r"expected a learner, as in fewstep.MAML\(model\)"):
            adapt(given, X, [0, 1, 0, 1])


def test_infinity_is_told_of():
    with pytest.raises(InputError, match="NaN or infinity"):
        adapt_regressor(of_numbers(), [[float("inf"), 1.0]], [1.0])
