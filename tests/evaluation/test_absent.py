"""Tasks with query examples of a class that the support set lacks."""

import pytest
import torch

from fewstep.data.sinusoid import SinusoidSampler
from fewstep.evaluation.absent import ABSENT, with_absent_class

from .shades import sampler


def test_the_absent_class_is_in_the_query_set_alone():
    tasks = with_absent_class(sampler(3)).batch(range(5))
    assert tasks.support_x.shape == (5, 6, 1, 3, 3)
    assert tasks.query_x.shape == (5, 12, 1, 3, 3)
    assert set(tasks.support_y.flatten().tolist()) == {0, 1, 2}
    for x, y, query_x, query_y in map(tasks.task, range(5)):
        shades = {label: set(x[y == label].flatten().tolist()) for label in range(3)}
        assert all(len(of_class) == 1 for of_class in shades.values())
        for label in range(3):
            assert set(query_x[query_y == label].flatten().tolist()) == shades[label]
        absent = set(query_x[query_y == ABSENT].flatten().tolist())
        assert len(absent) == 1
        assert not absent & set.union(*shades.values())
        assert int((query_y == ABSENT).sum()) == 3


def test_every_class_is_absent_at_times():
    tasks = with_absent_class(sampler(2)).batch(range(40))
    assert len(tasks.query_x[tasks.query_y == ABSENT].unique()) == 4


def test_the_cross_entropy_does_not_count_it():
    tasks = with_absent_class(sampler(3)).batch(range(1))
    logits = torch.randn(12, 3)
    loss = torch.nn.functional.cross_entropy(logits, tasks.query_y[0])
    known = tasks.query_y[0] >= 0
    expected = torch.nn.functional.cross_entropy(logits[known], tasks.query_y[0][known])
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("source", [sampler(4), SinusoidSampler(2, 3)])
def test_where_the_classes_do_not_suffice_there_are_none(source):
    assert with_absent_class(source) is None
