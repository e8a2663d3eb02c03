"""A run directory, or the folder of an adapted model, read back in Python."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fewstep.config.file import read_config
from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.learners.base import Learner
from fewstep.learners.is_learner import is_learner
from fewstep.predictors.adapted_dir import is_adapted
from fewstep.predictors.loading import load_adapted
from fewstep.training.checkpoint import Progress
from fewstep.training.described import is_made_by_fit, read_fit_config, rebuilt
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_trained
from fewstep.training.task_form import read_form


@dataclass(frozen=True)
class LoadedRun:
    """A run that is ready for use.

    Attributes:
        learner: With the initialisation that was best in validation: ``run.learner.adapt(x, y)``.
        config: The settings of the run; a dict where `fewstep.fit` made it.
        progress: Of the run when this initialisation was kept.
    """

    learner: Learner
    config: Config | dict[str, Any]
    progress: Progress


def load(
    run_dir: str | Path,
    model: nn.Module | Learner | None = None,
    *,
    data_dir: str | Path | None = None,
    device: str = "cpu",
) -> Any:
    """Read an adapted model, or the best initialisation of a run, which may be going on.

    Args:
        run_dir: The folder of an adapted model, or the run directory of ``fewstep train`` or of
            `fewstep.fit`.
        model: For a run of `fewstep.fit`, a network as it was trained, or its learner: one that
            has a loss, metrics or another part of the user's own has to be given. Its parameters
            are changed. For an adapted model whose network is the user's own, that network; it is
            not changed.
        data_dir: For a run that an earlier version of ``fewstep train`` made, the folder of the
            data, where the recipe needs one; that of the variable FEWSTEP_DATA or of the run unless
            given.
        device: For a run of ``fewstep train``, where to put the learner; else left out.

    Returns:
        A run has ``.learner``, ``.config`` and ``.progress``; an adapted model ``.predict`` and,
        where it knows classes, ``.predict_proba`` and ``.classes``.

    Raises:
        InputError: It is neither, is damaged, has no validated checkpoint yet, or needs a
            ``model``, or one is given that does not fit.

    >>> import tempfile, torch, fewstep
    >>> def tasks(step):
    ...     x, y = torch.rand(2, 10, 1), torch.rand(2, 10, 1)
    ...     return fewstep.TaskBatch(x, y, x, y)
    >>> learner = fewstep.MAML(torch.nn.Linear(1, 1), loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = fewstep.fit(learner, tasks, steps=2, run_dir=folder)
    ...     run = fewstep.load(folder, fewstep.MAML(torch.nn.Linear(1, 1), loss="mse"))
    >>> torch.equal(run.learner.model.weight, learner.model.weight)
    True
    """
    run = RunDir(Path(run_dir))
    adapted = is_adapted(run.path)
    if device != "cpu" and (adapted or is_made_by_fit(run.config)):
        raise InputError(
            f"device is {device!r}, and {run_dir} is no run of fewstep train, which alone are put "
            "on a device; leave it out, and move the model"
        )
    if adapted:
        return load_adapted(run_dir, model)
    if not is_made_by_fit(run.config):
        if model is not None:
            read_config(run.config)
            raise InputError(
                f"{run_dir} was made by fewstep train, which knows its network; leave model out"
            )
        folder = data_dir or os.environ.get("FEWSTEP_DATA")
        found = load_trained(run.path, device, str(folder) if folder else None)
        return LoadedRun(found.learner, found.config, found.progress)
    config = read_fit_config(run.config)
    if model is None:
        raise InputError(
            f"{run_dir} was made by fewstep.fit with a network of your own; give it, as in "
            "fewstep.load(run_dir, model)"
        )
    given: Any = model
    learner = given if is_learner(given) else rebuilt(config, given, run.path)
    progress = run.load_best(learner)
    with suppress(FileNotFoundError):  # tasks of the user's own, or of an earlier version
        learner.preparation = read_form(run.data).preparation
    return LoadedRun(learner, config, progress)
