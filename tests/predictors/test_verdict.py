"""A model beside its rivals, on query examples or on its own support examples."""

import pytest
import torch

from fewstep import InputError
from fewstep.predictors.teaching import Teaching
from fewstep.predictors.verdict import Verdict, by_leaving_one_out, by_query
from tests.predictors.shared import of_rows


def apart(shots):
    """Examples of three classes that lie apart."""
    y = torch.arange(3).repeat(shots)
    noise = torch.randn(len(y), 4, generator=torch.Generator().manual_seed(0))
    return 4 * torch.eye(4)[y] + noise / 10, y


def test_predictions_are_counted():
    x, y = apart(2)
    verdict = by_query(of_rows(), Teaching({}, x, y), [0, 1, 0], x[:3], [0, 1, 2])
    assert (verdict.right, verdict.examples, verdict.left_out) == (2, 3, False)
    assert verdict.rivals["nearest_mean_pixels"] == 3
    assert verdict.best_rival[1] == 3


def test_each_example_is_left_out():
    x, y = apart(3)
    verdict = by_leaving_one_out(of_rows(), Teaching({}, x, y), 2)
    assert (verdict.examples, verdict.left_out) == (9, True)
    assert verdict.right >= 8
    assert verdict.rivals["nearest_mean_features"] >= 8


def test_what_is_asked_for_is_not_in_the_support_set():
    """Two outliers that only their own example could explain are both wrong."""
    x, y = torch.tensor([[0.0] * 4, [9.0] * 4, [9.0] * 4, [0.0] * 4]), torch.tensor([0, 0, 1, 1])
    verdict = by_leaving_one_out(of_rows(2), Teaching({}, x, y), 0)
    assert verdict.rivals["nearest_mean_pixels"] == 0


def test_a_class_with_one_example():
    x, y = apart(1)
    with pytest.raises(InputError, match="a class has a single picture"):
        by_leaving_one_out(of_rows(), Teaching({}, x, y), 1)


def test_rivals_that_diverge_are_not_the_best():
    verdict = Verdict(3, 5, {"fine_tuning": None, "nearest_mean_pixels": 1})
    assert verdict.best_rival == ("nearest_mean_pixels", 1)
