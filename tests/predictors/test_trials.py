"""Trials leave out one example of each class, and ask for every example once."""

from collections import Counter

import pytest
import torch

from fewstep.predictors import trials
from fewstep.predictors.trials import leaving_one_out, of_one_example


@pytest.mark.parametrize("counts", [(3, 3, 3), (2, 5), (4, 2, 3)])
def test_every_example_is_asked_for_once(counts):
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = torch.arange(len(y)).float()[:, None]
    asked = []
    for trial in leaving_one_out(x, y):
        assert set(trial.x[:, 0].tolist()).isdisjoint(trial.query_x[:, 0].tolist())
        assert [y[int(number)] for number in trial.query_x[:, 0]] == trial.query_y.tolist()
        left = Counter(trial.y.tolist())
        assert [left[label] for label in range(len(counts))] == [n - 1 for n in counts]
        asked += trial.query_x[:, 0].tolist()
    assert sorted(asked) == list(range(len(y)))


def test_labels_in_any_order():
    y = torch.tensor([1, 0, 1, 0])
    first, second = leaving_one_out(torch.arange(4).float()[:, None], y)
    assert first.query_x[:, 0].tolist() == [1, 0]
    assert second.x[:, 0].tolist() == [0, 1]


def test_of_very_many_some_are_left_out(monkeypatch):
    monkeypatch.setattr(trials, "MOST_EXAMPLES", 60)
    y = torch.arange(2).repeat(10)
    asked = [trial.query_y.tolist() for trial in leaving_one_out(torch.zeros(20, 1), y)]
    assert asked == [[0, 1]] * 3


def test_single_examples():
    assert of_one_example(torch.tensor([0, 1, 0, 2])) == [1, 2]
    assert of_one_example(torch.tensor([0, 1, 0, 1])) == []
