"""Tasks shared out among ranks, one after another in this process."""

import pytest
import torch
from torch import nn

from fewstep import MAML, FineTune, TaskBatch
from fewstep.distributed.ranks import Ranks
from fewstep.distributed.shared import Share, as_vector, from_vector, part_of, share_of
from fewstep.execution.executor import MetaGradient
from fewstep.metagrad.objective import QueryResult
from tests.factory import make_tasks
from tests.learners.every import LEARNERS, every_learner, tasks
from tests.shares import differentiate


def _assert_same(learner, batch, size, outer_step=1):
    torch.manual_seed(1)
    (found, asked), drawn = differentiate(learner, batch, size, outer_step), torch.rand(1)
    torch.manual_seed(1)
    expected = learner.differentiate(batch, outer_step)
    assert asked == 0
    assert drawn != torch.rand(1) or size > 0
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(found.query[:2], expected.query[:2], rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(found.statistics, expected.statistics, rtol=1e-10, atol=1e-13)


@every_learner
@pytest.mark.parametrize(("size", "number"), [(2, 4), (3, 5), (5, 3)])
def test_the_number_of_ranks_changes_nothing(make, size, number):
    """Neither where shares differ, nor where some ranks have none."""
    _assert_same(make(), tasks(number), size)


def test_tasks_of_different_sizes_are_shared_out():
    sizes = [(1, 2), (3, 1), (2, 2), (4, 1), (1, 1), (2, 3), (3, 3)]
    batch = TaskBatch.stack([make_tasks(1, *of, seed=n).task(0) for n, of in enumerate(sizes)])
    learner = MAML(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double(), 0.3, 2)
    _assert_same(learner, batch, 3)


def test_each_kind_of_number_comes_back_as_it_was():
    gradient = {"a": torch.ones(2, 3), "b": torch.full((), 2.0, dtype=torch.float64)}
    query = QueryResult(torch.tensor([1.0, 2.0]), {"m": torch.tensor([3.0, 4.0]).half()})
    found = MetaGradient(query, gradient, {"s": torch.zeros(2, 1).bfloat16()})
    share = Share(range(0, 2), 2, 2)
    back, _ = from_vector(as_vector(found, share, False), found, share)
    torch.testing.assert_close(back, found, rtol=0, atol=0)


@pytest.mark.parametrize("asked", [(), (0,), (2,), (1, 2)])
def test_all_know_how_many_were_asked_to_stop(asked):
    assert differentiate(LEARNERS["maml"](), tasks(4), 3, asked=asked)[1] == len(asked)


def test_shares_are_the_whole():
    learner = LEARNERS["maml"]()
    for size, number in [(1, 4), (2, 5), (3, 3), (7, 5), (4, 1)]:
        shares = [share_of(Ranks(rank, size), learner, number) for rank in range(size)]
        counted = [place for own, count, _ in shares for place in own[:count]]
        assert counted == list(range(number))
        assert all(own for own, _, _ in shares)
        assert max(count for _, count, _ in shares) <= number / size + 1


def test_what_cannot_be_computed_apart_is_the_first_rank_s():
    learner = FineTune(nn.Sequential(nn.Linear(4, 3)), 5)
    parts = [part_of(Ranks(rank, 3), learner)(range(10, 16)) for rank in range(3)]
    assert parts == [range(10, 16), range(10, 11), range(10, 11)]


def test_numbers_of_tasks_stay_theirs():
    learner = LEARNERS["maml"]()
    assert [[*part_of(Ranks(rank, 2), learner)(range(10, 15))] for rank in range(2)] == [
        [10, 11],
        [12, 13, 14],
    ]


def test_a_task_is_named_by_its_number_in_the_whole_meta_batch():
    batch = tasks(5)
    batch.query_x[3] = torch.nan
    with pytest.raises(Exception, match="in task 3"):
        differentiate(LEARNERS["maml"](), batch, 2)
