"""Which losses are masked, and that they are then what they are of the targets without a mark."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep.metagrad.masking import mark_of

LABELS, NUMBERS = torch.tensor([0, 2, 1, 1]), torch.tensor([[0.5], [-2.0], [3.0], [0.1]])
WEIGHT = torch.tensor([0.2, 1.0, 3.0])
OF_CLASSES = {
    "cross-entropy": F.cross_entropy,
    "sum": partial(F.cross_entropy, reduction="sum"),
    "weights": partial(F.cross_entropy, weight=WEIGHT),
    "smooth": partial(F.cross_entropy, weight=WEIGHT, label_smoothing=0.3),
    "module": nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1, ignore_index=7),
    "nll": nn.NLLLoss(),
}
OF_NUMBERS = {
    "mse": F.mse_loss,
    "mse-sum": nn.MSELoss(reduction="sum"),
    "l1": nn.L1Loss(),
    "smooth": partial(F.smooth_l1_loss, beta=2.0),
    "smooth-module": nn.SmoothL1Loss(beta=0.5),
    "huber": nn.HuberLoss(delta=0.7),
}


class Halved(nn.MSELoss):
    def forward(self, prediction, target):
        return super().forward(prediction, target) / 2


def hooked():
    loss = nn.MSELoss()
    loss.register_forward_hook(lambda *_: None)
    return loss


@pytest.mark.parametrize("loss", OF_CLASSES.values(), ids=OF_CLASSES)
def test_marked_labels_do_not_count(loss):
    prediction = torch.randn(4, 3)
    mark = mark_of(loss, LABELS)
    marked = LABELS.clone()
    marked[2:] = int(mark.value)
    assert mark.is_in(marked).tolist() == [False, False, True, True]
    torch.testing.assert_close(mark.loss(prediction, marked), loss(prediction[:2], LABELS[:2]))


@pytest.mark.parametrize("loss", OF_NUMBERS.values(), ids=OF_NUMBERS)
def test_marked_numbers_do_not_count(loss):
    prediction = torch.randn(4, 1, requires_grad=True)
    mark = mark_of(loss, NUMBERS)
    marked = NUMBERS.clone()
    marked[2:] = mark.value
    value, expected = mark.loss(prediction, marked), loss(prediction[:2], NUMBERS[:2])
    torch.testing.assert_close(value, expected)
    found, of = (torch.autograd.grad(each, prediction)[0] for each in (value, expected))
    torch.testing.assert_close(found, of)


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, y: F.mse_loss(p, y),
        Halved(),
        hooked(),
        nn.MSELoss().forward,
        nn.BCEWithLogitsLoss(),
        partial(F.mse_loss, reduction="none"),
        partial(F.mse_loss, weight=torch.ones(4, 1)),
        partial(partial(F.cross_entropy, size_average=False), weight=WEIGHT),
    ],
)
def test_other_losses_have_no_mark(loss):
    assert mark_of(loss, NUMBERS) is None
    assert mark_of(loss, LABELS) is None


def test_other_targets_have_no_mark():
    assert mark_of(F.cross_entropy, torch.rand(4, 3)) is None  # probabilities of classes
    assert mark_of(F.mse_loss, LABELS) is None


def test_a_mask_is_the_same_wherever_it_is_made():
    """Functions are compiled once for equal ones."""
    one, other = (mark_of(partial(F.huber_loss, delta=2.0), NUMBERS).loss for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
