"""A result with its protocol: a number that says how it was measured."""

from __future__ import annotations

import math
import shlex
import sys
from typing import Any

from fewstep.config import Config, score_name
from fewstep.data.episodes import Split
from fewstep.functional import Norm
from fewstep.training.checkpoint import Progress
from fewstep.training.diagnosis import Figures
from fewstep.training.evaluation import Result
from fewstep.training.versions import versions


def summary(
    config: Config,
    result: Result,
    progress: Progress,
    split: Split,
    norm: Norm,
    figures: Figures | None = None,
) -> dict[str, Any]:
    """The result as JSON values, by number of inner steps.

    Args:
        config: Of the run; ``seed`` is also that of the tasks judged on.
        result: What the tasks showed.
        progress: Of the initialisation that was judged.
        split: Which classes the tasks are from.
        norm: Which statistics batch norm used on the query set.
        figures: For the diagnosis, which is left out without them.
    """
    diagnosis = figures and figures.as_json()
    k_shot, q_query = config.shots(split)
    return {
        "recipe": config.recipe,
        "algorithm": config.algorithm,
        score_name(config): _by_steps(result.scores),
        "ci95": _by_steps(result.ci95),
        "loss": _by_steps(result.losses),
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


def _by_steps(values: list[float]) -> dict[str, float | None]:
    # JSON knows no NaN: the interval of a single task, say.
    return {str(s): value if math.isfinite(value) else None for s, value in enumerate(values)}
