"""Results of several ranks together, one rank after another in this process."""

from dataclasses import dataclass, field

import torch

from fewstep.distributed import shared
from fewstep.distributed.ranks import Ranks


@dataclass(frozen=True)
class OneOf(Ranks):
    """A rank whose sums are left to whoever asks it."""

    told: list = field(default_factory=list)

    def sum(self, values):
        self.told.append(values)
        return values


def differentiate(learner, tasks, size, outer_step=0, asked=()):
    """The gradient of a learner, as so many ranks find it, and how many were asked to stop."""
    flat = []
    before = torch.get_rng_state()
    for rank in range(size):
        one = OneOf(rank, size, told=flat)
        share = shared.share_of(one, learner, len(tasks))
        torch.set_rng_state(before)
        part = tasks[share.own.start : share.own.stop]
        found, _ = shared.differentiate(one, learner, part, share, outer_step, rank in asked)
    return shared.from_vector(torch.stack(flat).sum(0), found, share)


def meta_gradient(learner, tasks, size=2):
    """The loss and the gradient, by name."""
    found, _ = differentiate(learner, tasks, size)
    return found.query.losses.mean(), found.gradient
