"""The tasks of an outer step shared out among ranks."""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from fewstep.distributed.ranks import Ranks
from fewstep.execution.executor import MetaGradient
from fewstep.functional.swapped import Params
from fewstep.learners.base import Learner
from fewstep.metagrad.objective import QueryResult
from fewstep.runtime.rng import numbered_call
from fewstep.tasks import TaskBatch


class Share(NamedTuple):
    """A rank's part of a meta-batch."""

    own: range  # places of its tasks; of the first where it has none, to know the shapes of sums
    counted: int  # how many of them count
    tasks: int  # of the whole meta-batch


def share_of(ranks: Ranks, learner: Learner, tasks: int) -> Share:
    """A rank's part of so many tasks."""
    own = ranks.share(range(tasks), apart=learner.tasks_are_independent)
    return Share(own or range(1), len(own), tasks)


def part_of(ranks: Ranks, learner: Learner) -> Callable[[range], range]:
    """Which numbers, of those of a meta-batch, a rank needs the tasks of."""

    def needed(numbers: range) -> range:
        own = share_of(ranks, learner, len(numbers)).own
        return numbers[own.start : own.stop]

    return needed


def differentiate(
    ranks: Ranks, learner: Learner, batch: TaskBatch, share: Share, step: int, asked: bool
) -> tuple[MetaGradient, Tensor]:
    """The gradient of the whole meta-batch, of which ``batch`` is this rank's part.

    Returns:
        It, the same to the bit on every rank; and how many of them were ``asked`` to stop.
    """
    # As one process would draw them: random layers do not depend on the rank.
    with numbered_call(share.own.start):
        found = learner.differentiate(batch, step)
    flat = ranks.sum(as_vector(found, share, asked))
    return from_vector(flat, found, share)


def as_vector(found: MetaGradient, share: Share, asked: bool) -> Tensor:
    """One flat tensor whose sum over all ranks is the result of the whole meta-batch."""
    means = [*found.gradient.values(), *(found.statistics or {}).values()]
    rows = [found.query.losses, *found.query.metrics.values()]
    kind = reduce(torch.promote_types, (t.dtype for t in (*means, *rows)))
    own = slice(share.own.start, share.own.start + share.counted)
    flat = [mean.reshape(-1).to(kind) * (share.counted / share.tasks) for mean in means]
    for row in rows:
        whole = row.new_zeros(share.tasks, dtype=kind)
        whole[own] = row[: share.counted].to(kind)
        flat.append(whole)
    return torch.cat([*flat, flat[0].new_full((1,), float(asked))])


def from_vector(flat: Tensor, like: MetaGradient, share: Share) -> tuple[MetaGradient, Tensor]:
    """The sum of such vectors as a result, and how many ranks were asked to stop."""
    statistics, (losses, metrics, _) = like.statistics, like.query
    means = [*like.gradient.values(), *(statistics or {}).values()]
    sizes = [mean.numel() for mean in means] + [share.tasks] * (1 + len(metrics))
    *parts, asked = torch.split(flat, [*sizes, 1])
    found = iter(parts)

    def means_like(params: Params) -> Params:
        return {n: next(found).view(p.shape).to(p.dtype) for n, p in params.items()}

    gradient = means_like(like.gradient)
    moved = None if statistics is None else means_like(statistics)
    query = QueryResult(
        next(found).to(losses.dtype), {n: next(found).to(m.dtype) for n, m in metrics.items()}
    )
    return MetaGradient(query, gradient, moved), asked
