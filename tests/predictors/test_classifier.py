"""An adapted model predicts classes."""

import numpy as np
import pytest
import torch
from torch import nn

from fewstep import InputError
from fewstep.predictors.adapt import adapt_classifier
from fewstep.predictors.classifier import AdaptedClassifier
from tests.predictors.shared import NAMES, of_pictures, pictures
from tests.predictors.shared_rows import PASSED, QUERY, SUPPORT, of_table


@pytest.fixture(scope="module")
def adapted():
    return adapt_classifier(of_pictures(), pictures(), NAMES, steps=5)


def test_probabilities_and_labels(adapted):
    found = adapted.predict_proba(pictures())
    assert (found.shape, found.dtype) == ((6, 3), np.float64)
    assert np.allclose(found.sum(1), 1, atol=1e-12)
    assert adapted.classes == ("blue", "green", "red")
    assert adapted.predict(pictures()) == NAMES == adapted.labels_of(found)


def test_one_example_alone_gives_what_it_gives_among_others(adapted):
    together = adapted.predict_proba(pictures())
    alone = np.concatenate([adapted.predict_proba(picture) for picture in pictures()])
    assert np.allclose(together, alone, atol=1e-6)
    assert adapted.norm == "inductive"


def test_a_transductive_model_takes_all_examples_at_once():
    model = adapt_classifier(of_pictures(), pictures(), NAMES, norm="transductive")
    assert model.norm == "transductive"
    many = torch.rand(3000, 3, 16, 16)
    with torch.no_grad():
        expected = model.module(many).double().softmax(1)
    assert np.allclose(model.predict_proba(many), expected, atol=1e-6)


def test_the_temperature_divides_and_the_threshold_refuses():
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.eye(2))
        model.bias.zero_()
    x = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    cool = AdaptedClassifier(model, ("crow", "owl"), temperature=2.0)
    expected = (x.double() / 2).softmax(1)
    assert np.allclose(cool.predict_proba(x), expected)
    assert cool.predict(x) == ["crow", "owl"]
    unsure = AdaptedClassifier(model, ("crow", "owl"), temperature=2.0, threshold=0.8)
    assert unsure.predict(x) == ["crow", "owl"]
    assert unsure.predict(x, unsure.threshold) == ["crow", None]
    assert cool.predict(x, threshold=0.99) == [None, None]


def test_a_model_that_takes_derivatives_when_it_predicts():
    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x):
            x = x.detach().requires_grad_()
            return torch.autograd.grad((self.weight * x**2).sum(), x)[0]

    model = AdaptedClassifier(Slope(), (0, 1))
    assert model.predict([[1.0, 2.0], [2.0, 1.0]]) == [1, 0]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperature": 0}, "temperature is 0; expected more than 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"threshold": 1.5}, "threshold is 1.5; expected from 0 to 1"),
    ],
)
def test_settings_out_of_range(settings, told):
    with pytest.raises(InputError, match=told):
        AdaptedClassifier(nn.Linear(2, 2), (0, 1), **settings)


def test_a_network_that_does_not_fit():
    with pytest.raises(InputError, match=r"returns \[1, 3\] for 2 classes"):
        AdaptedClassifier(nn.Linear(2, 3), (0, 1)).predict([[0.0, 0.0]])
    with pytest.raises(InputError, match=r"does not take examples of \[4\]"):
        AdaptedClassifier(nn.Linear(2, 2), (0, 1)).predict([[0.0] * 4])


def test_the_classes_of_a_table_are_those_of_its_training():
    adapted = adapt_classifier(of_table(PASSED), SUPPORT, SUPPORT.passed)
    assert adapted.classes == PASSED.classes == ("no", "yes")
    assert set(adapted.predict(QUERY)) <= {"no", "yes"}
    # A class that no support row has keeps its place.
    one = adapt_classifier(of_table(PASSED), SUPPORT[:1], ["yes"])
    assert one.about["protocol"]["shots"] == [0, 1]
    assert one.predict_proba(QUERY)[:, 1].mean() > 0.5
    with pytest.raises(InputError, match="'perhaps' is no class of the training rows"):
        adapt_classifier(of_table(PASSED), SUPPORT, ["perhaps"] * 6)
    with pytest.raises(InputError, match=r"of a regression by its loss"):
        adapt_classifier(of_table(), SUPPORT, SUPPORT.passed)
