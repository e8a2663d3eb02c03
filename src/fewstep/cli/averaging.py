"""The average of a run's best checkpoints in its final test."""

from pathlib import Path
from typing import Any

from rich.console import Console

from fewstep.choices import Norm
from fewstep.cli.progress import counting
from fewstep.config.file import training_digest
from fewstep.config.schema import Config, has_batch_norm
from fewstep.distributed.ranks import ranks
from fewstep.errors import InputError
from fewstep.evaluation.averaged import evaluate_average
from fewstep.evaluation.calibrated import calibrated
from fewstep.evaluation.evaluate import means
from fewstep.evaluation.numbers import shown
from fewstep.training import top
from fewstep.training.calibrate import norms_of
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run

Average = dict[str, Any]


def tested_average(
    run: Run, run_dir: Path, tasks: int, steps: int, norm: Norm, console: Console
) -> Average | None:
    """Test the mean of the logits of a run's best checkpoints, by each norm.

    Returns:
        As JSON values of the run's summary; None where there is one checkpoint alone, or no class,
        or where a checkpoint is lost, which is told.
    """
    kept, digest = run.trained.top, training_digest(run.config)
    if len(kept) < 2 or run.config.kind != "classification":
        return None
    try:
        # The first rank alone has the files.
        values = ranks().from_first(lambda: list(top.load(RunDir(run_dir).top, kept, digest)))
    except InputError as error:
        # The one model can be tested without it.
        console.print(f"the average of the best checkpoints is left out: {error}", soft_wrap=True)
        return None
    norms, errors = {}, {}
    for used in norms_of(run, norm):
        told = f"{tasks} test tasks, average of {len(kept)} checkpoints, {used}"
        with counting(console, told, tasks * len(kept)) as advance:
            found = evaluate_average(
                run.as_trained,
                values,
                run.tasks["test"],
                tasks,
                steps,
                used,
                advance,
                run.config.test_n_way,
            )
        columns = means(found).columns
        norms[used] = {
            name: {"mean": {str(steps): one.mean[0]}, "ci95": {str(steps): one.ci95[0]}}
            for name, one in columns.items()
        }
        calibration = calibrated(found.predictions, 1.0)
        errors[used] = calibration and calibration.ece_before
    return {
        "models": len(kept),
        "outer_steps": [step for step, _ in kept],
        "norms": norms,
        "calibration_error": errors,
    }


def average_lines(config: Config, average: Average | None) -> list[str]:
    """One line on the average that a summary tells, if there is one."""
    if average is None:
        return []
    told = []
    for norm, figures in average["norms"].items():
        (mean,), (half,) = (figures["accuracy"][of].values() for of in ("mean", "ci95"))
        of_batch = f" {norm}" if has_batch_norm(config) else ""
        told.append(f"{shown('accuracy', mean, half)}{of_batch}")
    steps = ", ".join(f"{step:,}" for step in sorted(average["outer_steps"]))
    return [
        f"average of the {average['models']} best checkpoints (mean of their logits; after outer "
        f"steps {steps}): accuracy {', '.join(told)}"
    ]
