"""Evaluations of several ranks."""

import torch

from fewstep.distributed.ranks import Ranks
from fewstep.evaluation.gathered import gathered
from tests.learners.every import LEARNERS, tasks


def test_they_come_in_the_order_of_the_tasks():
    learner, batches = LEARNERS["protomaml"](), [tasks(3), tasks(2)]
    expected = [learner.evaluate(batch, 1).losses for batch in batches]
    parts = []
    for rank in range(4):
        owns = [Ranks(rank, 4).share(range(len(batch))) for batch in batches]
        pairs = zip(batches, owns, strict=True)
        parts.append([b[o.start : o.stop] if o else None for b, o in pairs])
    found = [[b and learner.evaluate(b, 1) for b in of_rank] for of_rank in parts]

    class Gathering(Ranks):
        def gather(self, value):
            return found

    losses = torch.cat([part.losses for part in gathered(Gathering(0, 4), [])])
    torch.testing.assert_close(losses, torch.cat(expected), rtol=1e-10, atol=0)
