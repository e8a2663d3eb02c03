"""A result with its protocol: a number that says how it was measured."""

from __future__ import annotations

import math
import shlex
import sys
from typing import Any

from fewstep.config.schema import Config
from fewstep.data.source import Split
from fewstep.evaluation.diagnosis import Figures
from fewstep.evaluation.evaluate import Result, Results
from fewstep.training.checkpoint import Progress
from fewstep.training.provenance import versions


def summary(
    config: Config,
    results: Results,
    progress: Progress,
    split: Split,
    figures: Figures | None = None,
) -> dict[str, Any]:
    """The result as JSON values, by number of inner steps.

    Args:
        config: Of the run; ``seed`` is also that of the tasks judged on.
        results: What the tasks showed; the first are the main figures.
        progress: Of the initialisation that was judged.
        split: Which classes the tasks are from.
        figures: For the diagnosis, which is left out without them.
    """
    diagnosis = figures and figures.as_json()
    k_shot, q_query = config.shots(split)
    norm, result = next(iter(results.items()))
    return {
        "recipe": config.recipe,
        "algorithm": config.algorithm,
        **{name: _by_steps(means.mean) for name, means in result.metrics.items()},
        "ci95": _by_steps(result.score.ci95),
        "loss": _by_steps(result.loss.mean),
        "diverged": _diverged(result),
        "norms": {name: _figures(of_norm) for name, of_norm in results.items()},
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
        "training_seconds": round(progress.seconds, 3),
        "device": config.device,
        "command": shlex.join(["fewstep", *sys.argv[1:]]),
        "versions": versions(),
        **({"diagnosis": diagnosis} if diagnosis else {}),
    }


def _figures(result: Result) -> dict[str, Any]:
    """All metrics and the loss of a norm, each with its interval."""
    figures = {**result.metrics, "loss": result.loss}
    return {
        name: {"mean": _by_steps(means.mean), "ci95": _by_steps(means.ci95)}
        for name, means in figures.items()
    }


def _diverged(result: Result) -> dict[str, int] | None:
    """In which task the loss was not finite, and after which inner step."""
    return result.diverged and dict(zip(("task", "inner_step"), result.diverged, strict=True))


def _by_steps(values: list[float]) -> dict[str, float | None]:
    # JSON knows no NaN: the interval of a single task, say.
    return {str(s): value if math.isfinite(value) else None for s, value in enumerate(values)}
