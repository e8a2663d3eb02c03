"""Temperature and threshold of a run, chosen on validation tasks."""

from typing import get_args

from fewstep.choices import Norm
from fewstep.config.schema import has_batch_norm
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.confidence import choose
from fewstep.training.runs import Run

Chosen = dict[Norm, Calibration | None]
"""Temperature and threshold by norm; None where none could be chosen."""


def norms_of(run: Run, norm: Norm) -> list[Norm]:
    """This norm first, and the other one where that makes a difference."""
    norms = sorted(get_args(Norm), key=lambda other: other != norm)
    return norms[: 2 if has_batch_norm(run.config) else 1]


def choose_on_validation(run: Run, tasks: int, steps: int, norm: Norm) -> Chosen:
    """Choose for each norm; nothing of a regression."""
    if run.config.kind != "classification":
        return {}
    return {
        used: choose(run.learner, run.tasks["val"], steps, _of_one_example(run, used), tasks)
        for used in norms_of(run, norm)
    }


def inductive(run: Run, chosen: Chosen) -> Calibration | None:
    """The choice for predictions of one example at a time."""
    return next(
        (c for norm, c in chosen.items() if _of_one_example(run, norm) == "inductive"), None
    )


def _of_one_example(run: Run, norm: Norm) -> Norm:
    """Inductive also where no example can influence another, for lack of batch norm."""
    return norm if has_batch_norm(run.config) else "inductive"
