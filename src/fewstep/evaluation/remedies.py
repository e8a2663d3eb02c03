"""Remedies for a figure that is out of line: settings that have an effect for a learner."""

from collections.abc import Iterable
from typing import NamedTuple

from fewstep.config.algorithms import ALGORITHMS

OF_SOME = frozenset(
    {"inner_lr", "inner_steps", "test_inner_steps", "penalty"}
    | {"layers", "width", "filters", "min_k_shot", "pooled"}
)
"""Remedies that not every learner, network or data set has."""
INNER_LOOP = frozenset({"inner_lr", "inner_steps", "test_inner_steps"})


class Remedy(NamedTuple):
    """One thing to do."""

    setting: str  # what is changed
    way: int  # 1 for more of it, -1 for less, 0 for either
    words: str


class Finding(NamedTuple):
    """A figure that is out of line."""

    facts: str
    verb: str  # before the remedies
    remedies: tuple[Remedy, ...]


def advice(found: Iterable[Finding], settings: frozenset[str]) -> list[str]:
    """One sentence a finding, the most important ones first.

    A remedy without an effect is left out, and so is the opposite of one that stands before it. A
    finding that is left with none is not told.
    """
    taken: list[Remedy] = []
    sentences = []
    for finding in found:
        left = [
            remedy
            for remedy in finding.remedies
            if (remedy.setting not in OF_SOME or remedy.setting in settings)
            and not any(o.setting == remedy.setting and o.way * remedy.way < 0 for o in taken)
        ]
        if not left:
            continue
        taken += left
        *first, last = [remedy.words for remedy in left]
        told = f"{', '.join(first)} or {last}" if first else last
        verb = f"{finding.verb} " if finding.verb else ""
        sentences.append(f"{finding.facts}, so {verb}{told}")
    return sentences


def settings_of(learner: object) -> frozenset[str]:
    """The settings of a config that have an effect for a learner, of a user's own those of MAML.

    >>> import torch, fewstep
    >>> "inner_lr" in settings_of(fewstep.R2D2(torch.nn.Linear(2, 1)))
    False
    """
    for kind in type(learner).__mro__:
        name = f"{kind.__module__}:{kind.__qualname__}"
        if found := [entry.settings for entry in ALGORITHMS.values() if entry.learner == name]:
            return frozenset[str]().union(*found)
    return INNER_LOOP
