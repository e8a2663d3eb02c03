"""Evaluations of several ranks, put together."""

from collections.abc import Sequence

from torch import Tensor

from fewstep.distributed.ranks import Ranks
from fewstep.learners.base import Evaluation, Predictions


def gathered(ranks: Ranks, parts: Sequence[Evaluation | None]) -> list[Evaluation]:
    """The evaluations of all ranks, in the order of the tasks: each had a part of every batch."""
    if ranks.size == 1:
        return [part for part in parts if part is not None]
    of_ranks = ranks.gather([part and _on_cpu(part) for part in parts])
    return [part for batch in zip(*of_ranks, strict=True) for part in batch if part is not None]


def _on_cpu(part: Evaluation) -> Evaluation:
    found = part.predictions and Predictions(*map(Tensor.cpu, part.predictions))
    return Evaluation(part.losses.cpu(), {n: m.cpu() for n, m in part.metrics.items()}, found)
