"""A result with its protocol: a number that says how it was measured."""

import math
import shlex
import sys
from typing import Any, cast

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.evaluation.diagnosis import Figures
from fewstep.evaluation.evaluate import Means, Result, Results
from fewstep.files import rounded
from fewstep.training.checkpoint import Progress
from fewstep.training.provenance import versions


def summary(
    config: Config,
    results: Results,
    progress: Progress,
    split: Split,
    figures: Figures | None = None,
) -> dict[str, Any]:
    """The result as JSON values, by number of inner steps; of the first norm as the main figures.

    There is no diagnosis without the figures that it rests on.
    """
    k_shot, q_query = config.shots(split)
    norm, result = next(iter(results.items()))
    told = {
        "recipe": config.recipe,
        "algorithm": config.algorithm,
        **{name: _by_steps(means.mean) for name, means in result.metrics.items()},
        "ci95": _by_steps(result.score.ci95),
        "loss": _by_steps(result.loss.mean),
        "diverged": result.diverged
        and dict(zip(("task", "inner_step"), result.diverged, strict=True)),
        "norms": {
            name: {metric: _figures(means) for metric, means in of_norm.columns.items()}
            for name, of_norm in results.items()
        },
        "tasks": result.tasks,
        "split": split,
        "norm": norm,
        "n_way": config.n_way,
        "k_shot": k_shot,
        "q_query": q_query,
        "inner_lr": config.inner_lr,
        "models": 1,
        "seed": config.seed,
        "outer_step": progress.step,
        "validation_score": progress.best_score,
        "training_seconds": progress.seconds,
        "device": config.device,
        "command": shlex.join(["fewstep", *sys.argv[1:]]),
        "versions": versions(),
        **({"diagnosis": figures.as_json()} if figures else {}),
    }
    return cast(dict[str, Any], rounded(told))


def results_of(told: dict[str, Any]) -> Results:
    """The figures that a summary tells, by norm."""
    return {
        norm: Result(
            metrics={name: _means(f) for name, f in figures.items() if name != "loss"},
            loss=_means(figures["loss"]),
            tasks=told["tasks"],
            diverged=None,
        )
        for norm, figures in told["norms"].items()
    }


def _figures(means: Means) -> dict[str, Any]:
    return {"mean": _by_steps(means.mean), "ci95": _by_steps(means.ci95)}


def _by_steps(values: list[float]) -> dict[str, float]:
    return {str(step): value for step, value in enumerate(values)}


def _means(told: dict[str, dict[str, float | None]]) -> Means:
    mean, ci95 = (
        [math.nan if value is None else value for value in told[of].values()]
        for of in ("mean", "ci95")
    )
    return Means(mean, ci95)
