"""The calibration of predictions at a temperature that was chosen elsewhere."""

import pytest
import torch

from fewstep.evaluation.calibrated import calibrated
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
