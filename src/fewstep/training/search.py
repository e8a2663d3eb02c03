"""A small random search: which configurations are tried, and which of them is taken."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.registry import NETWORKS
from fewstep.config.schema import Config
from fewstep.evaluation.by_rows import Scores

SPACE: Mapping[str, tuple[Any, ...]] = {
    "layers": (0, 1, 2, 3),
    "width": (16, 32, 64, 128),
    "inner_lr": (0.01, 0.03, 0.1, 0.3),
    "inner_steps": (1, 3, 5, 10),
    "penalty": (1.0, 10.0, 100.0),
    "outer_lr": (3e-3, 1e-2, 3e-2),
}
SHARE = 4
"""A trial takes one outer step for so many of the whole training."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A configuration that was tried.

    Attributes:
        changes: Its settings that are searched over.
        parameters: Numbers that are learned.
        scores: ``[tasks]``, of each validation task; not finite where it diverged.
    """

    changes: dict[str, Any]
    parameters: int
    scores: Scores

    @property
    def score(self) -> float | None:
        """The mean; None where it diverged."""
        return float(self.scores.mean()) if np.isfinite(self.scores).all() else None


def space_of(config: Config, is_given: Callable[[str], bool]) -> dict[str, tuple[Any, ...]]:
    """The settings that are searched over: those with an effect that were not given."""
    own = {*ALGORITHMS[config.algorithm].settings, *config.network.settings}
    of_some = {name for row in ALGORITHMS.values() for name in row.settings}
    of_some |= {name for row in NETWORKS.values() for name in row.settings}
    without_effect = of_some - own
    return {n: v for n, v in SPACE.items() if n not in without_effect and not is_given(n)}


def drawn(
    config: Config, space: Mapping[str, tuple[Any, ...]], number: int
) -> list[dict[str, Any]]:
    """So many different choices, or all there are; the first is that of the config itself.

    Of each setting all values come once, in random order, before any comes again.
    """
    columns = {name: _rounds(f"{config.seed} {name}", values) for name, values in space.items()}
    found = [{name: getattr(config, name) for name in space}]
    for _ in range(100 * number):
        if len(found) >= number:
            break
        one = {name: next(column) for name, column in columns.items()}
        if one.get("layers") == 0 and "width" in one:
            one["width"] = config.width  # without effect
        if one not in found:
            found.append(one)
    return found[:number]


def _rounds(seed: str, values: tuple[Any, ...]) -> Iterator[Any]:
    source = random.Random(seed)
    while True:
        yield from source.sample(values, len(values))


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """The config with these settings, evaluated after as many inner steps as it needs."""
    steps, most = changes.get("inner_steps", 0), config.test_inner_steps
    if steps:
        most = steps if config.learns_per_step else max(steps, most)
    return replace(config, **{**changes, "test_inner_steps": most})


def shortened(config: Config) -> Config:
    """The same, trained for a part of its steps, but until its first validation."""
    return replace(config, steps=max(config.steps // SHARE, min(config.val_every, config.steps)))


def best(trials: Sequence[Trial], *, larger_is_better: bool) -> Trial | None:
    """The one of the best mean, the first of equals; None where all diverged."""
    sign = 1 if larger_is_better else -1
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: sign * (trial.score or 0.0), default=None)


def simplest(trials: Sequence[Trial], top: Trial, *, larger_is_better: bool) -> Trial:
    """The one of fewest parameters that is within one standard error of the best.

    The standard error is that of the difference over the same tasks. With few validation tasks the
    best of many networks is often one that fits them by chance; this is the rule of Breiman,
    Friedman, Olshen and Stone 1984, "Classification and regression trees", section 3.4.3.
    """
    sign = 1 if larger_is_better else -1
    level = [
        trial
        for trial in trials
        if trial is top
        or (trial.score is not None and _is_level(sign * (top.scores - trial.scores)))
    ]
    return min(level, key=lambda trial: (trial.parameters, -sign * (trial.score or 0.0)))


def _is_level(behind: Scores) -> bool:
    return len(behind) > 1 and bool(behind.mean() <= behind.std(ddof=1) / len(behind) ** 0.5)
