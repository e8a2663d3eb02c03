"""The calibration of predictions at a temperature that was chosen elsewhere."""

import pytest
import torch

from fewstep.evaluation.calibrated import calibrated, calibrated_as
from fewstep.learners.base import Predictions


def test_other_predictions_at_a_temperature_that_was_chosen():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])
    found = calibrated(Predictions(logits, torch.tensor([[0, 0]])), 2.0)
    cold, warm = (torch.tensor([2.0 / t, 0]).softmax(0)[0].item() for t in (1, 2))
    assert found.ece_before == pytest.approx(cold - 0.5)
    assert found.ece_after == pytest.approx(warm - 0.5)
    assert (found.predictions, found.temperature) == (2, 2.0)
    assert calibrated(Predictions(logits / 0, torch.tensor([[0, 0]])), 2.0) is None
    assert calibrated(None, 2.0) is None


def test_it_tells_why_no_temperature_was_chosen():
    few = Predictions(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    chosen = calibrated(few, 1.0, unchosen="all are right")
    assert not chosen.has_temperature
    found = calibrated_as(few, chosen)
    assert found.told(" (sure)") == "19.4% (sure); no temperature was chosen: all are right"
    # A file of an earlier version does not tell why.
    assert calibrated(few, 1.0).told() == "19.4%; no temperature was chosen"
    assert "at temperature 2.00" in calibrated(few, 2.0).told()
