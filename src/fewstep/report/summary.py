"""A result with its protocol: a number that says how it was measured."""

from __future__ import annotations

import platform
import shlex
import sys
from typing import Any

import numpy
import torch

import fewstep
from fewstep.config import Config, score_name
from fewstep.data.episodes import Split
from fewstep.functional import Norm
from fewstep.training.checkpoint import Progress
from fewstep.training.evaluation import Result


def summary(
    config: Config, result: Result, progress: Progress, split: Split, norm: Norm
) -> dict[str, Any]:
    """The result as JSON values, by number of inner steps.

    Args:
        config: Of the run; ``seed`` is also that of the tasks judged on.
        result: What the tasks showed.
        progress: Of the initialisation that was judged.
        split: Which classes the tasks are from.
        norm: Which statistics batch norm used on the query set.
    """
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
        "k_shot": config.test_k_shot or config.k_shot,
        "q_query": config.test_q_query or config.q_query,
        "inner_lr": config.inner_lr,
        "models": 1,
        "seed": config.seed,
        "outer_step": progress.step,
        "validation_score": progress.best_score,
        "training_seconds": round(progress.seconds, 1),
        "device": config.device,
        "command": shlex.join(["fewstep", *sys.argv[1:]]),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """What the result was computed with."""
    return {
        "fewstep": fewstep.__version__,
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
    }


def _by_steps(values: list[float]) -> dict[str, float]:
    return {str(step): value for step, value in enumerate(values)}
