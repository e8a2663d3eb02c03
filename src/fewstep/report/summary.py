"""A result with its protocol: a number that says how it was measured."""

import math
import shlex
from collections.abc import Sequence
from typing import Any, cast

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.calibration import Threshold
from fewstep.evaluation.diagnosis import diagnosis_as_json
from fewstep.evaluation.evaluate import Means, Result, Results
from fewstep.evaluation.figures import Figures
from fewstep.files import rounded
from fewstep.report.table import protocol
from fewstep.training.checkpoint import Progress
from fewstep.training.provenance import versions


def summary(
    config: Config,
    results: Results,
    progress: Progress,
    split: Split,
    figures: Figures | None = None,
    trained: Progress | None = None,
    average: dict[str, Any] | None = None,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """The result as JSON values, by number of inner steps; of the first norm as the main figures.

    There is no diagnosis without the figures that it rests on. ``progress`` is that of the
    initialisation that was evaluated, ``trained`` that of the run when it was last saved, and
    ``average`` the result of several checkpoints together. ``command`` has the words that it came
    about by.
    """
    k_shot, q_query = config.shots(split)
    norm, result = next(iter(results.items()))
    calibration = {
        name: _calibration(of_norm.calibration)
        for name, of_norm in results.items()
        if of_norm.calibration
    }
    told = {
        "recipe": config.recipe,
        "algorithm": config.algorithm,
        **({"budget": config.budget} if config.budget else {}),
        **{name: _by_steps(means.mean) for name, means in result.metrics.items()},
        "ci95": _by_steps(result.score.ci95),
        "loss": _by_steps(result.loss.mean),
        "diverged": result.diverged
        and dict(zip(("task", "inner_step"), result.diverged, strict=True)),
        "norms": {
            name: {metric: _figures(means) for metric, means in of_norm.columns.items()}
            for name, of_norm in results.items()
        },
        **({"calibration": calibration} if calibration else {}),
        "tasks": result.tasks,
        **({} if result.draws is None else {"draws": result.draws}),
        "split": split,
        "norm": norm,
        "n_way": config.ways(split),
        "k_shot": k_shot,
        "q_query": q_query,
        "inner_lr": config.inner_lr,
        "models": 1,
        **({"average": average} if average else {}),
        "seed": config.seed,
        "outer_step": progress.step,
        "validation_score": progress.best_score,
        "training_seconds": progress.seconds,
        **(_of_training(trained) if trained else {}),
        "device": config.device,
        "protocol": protocol(config, results, split),
        "command": shlex.join(command),
        "versions": versions(),
        **({"diagnosis": diagnosis_as_json(figures)} if figures else {}),
    }
    return cast(dict[str, Any], rounded(told))


def _of_training(trained: Progress) -> dict[str, Any]:
    """How long the whole training was, over all times that it went on, and on what."""
    machine = ("machine", "processor", "device", "threads", "ranks")
    return {
        "outer_steps": trained.step,
        "wall_seconds": trained.seconds,
        "trained_on": {n: v for n, v in trained.computed_with.items() if n in machine},
    }


def results_of(told: dict[str, Any]) -> Results:
    """The figures that a summary tells, by norm."""
    return {
        norm: Result(
            metrics={name: _means(f) for name, f in figures.items() if name != "loss"},
            loss=_means(figures["loss"]),
            tasks=told["tasks"],
            diverged=None,
            draws=told.get("draws"),
            # Of earlier versions there is none.
            calibration=_told_calibration(told.get("calibration", {}).get(norm)),
        )
        for norm, figures in told["norms"].items()
    }


def _calibration(found: Calibration) -> dict[str, Any]:
    threshold = found.threshold._asdict() if found.threshold else {}
    plain = ("temperature", "predictions", "ece_before", "ece_after", "overconfidence")
    why = {"unchosen": found.unchosen} if found.unchosen else {}
    return {**{name: getattr(found, name) for name in plain}, **why, **threshold}


def _told_calibration(told: dict[str, Any] | None) -> Calibration | None:
    if told is None:
        return None
    values = dict(told)
    threshold = [values.pop(name) for name in Threshold._fields if name in values]
    return Calibration(**values, threshold=Threshold(*threshold) if threshold else None)


def _figures(means: Means) -> dict[str, Any]:
    return {"mean": _by_steps(means.mean), "ci95": _by_steps(means.ci95)}


def _by_steps(values: list[float]) -> dict[str, float]:
    return {str(step): value for step, value in enumerate(values)}


def _means(told: dict[str, dict[str, float | None]]) -> Means:
    def numbers(by_step: dict[str, float | None]) -> list[float]:
        values = [by_step[str(step)] for step in range(len(told["mean"]))]
        return [math.nan if value is None else float(value) for value in values]

    return Means(numbers(told["mean"]), numbers(told["ci95"]))
