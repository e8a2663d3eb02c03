"""A run directory read back in Python."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fewstep.config.file import read_config
from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.learners.base import Learner
from fewstep.training.checkpoint import Progress
from fewstep.training.described import is_made_by_fit, read_fit_config, rebuilt
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_run


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
) -> LoadedRun:
    """Read the best initialisation of a run, which may be unfinished or going on.

    Args:
        run_dir: The run directory of ``fewstep train`` or of `fewstep.fit`.
        model: For a run of `fewstep.fit`, a network as it was trained, or its learner: one that
            has a loss, metrics or another part of the user's own has to be given. Its parameters
            are changed.
        data_dir: For a run of ``fewstep train``, the folder of the data, where the recipe needs
            one; that of the variable FEWSTEP_DATA or of the run unless given. For a run on a folder
            of pictures, the place where it is now, if it has moved.
        device: For a run of ``fewstep train``, where to put the learner.

    Raises:
        InputError: It is no run directory, has no validated checkpoint yet, or needs a ``model``,
            or one is given that does not fit.

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
    if not is_made_by_fit(run.config):
        if model is not None:
            read_config(run.config)
            raise InputError(
                f"{run_dir} was made by fewstep train, which knows its network; leave model out"
            )
        folder = data_dir or os.environ.get("FEWSTEP_DATA")
        moved = str(data_dir) if data_dir else None
        found = load_run(run.path, str(folder) if folder else None, device, moved=moved)
        # One that shares its tasks out has the learner in it.
        alone: Learner = getattr(found.learner, "learner", found.learner)
        return LoadedRun(alone, found.config, found.progress)
    config = read_fit_config(run.config)
    if model is None:
        raise InputError(
            f"{run_dir} was made by fewstep.fit with a network of your own; give it, as in "
            "fewstep.load(run_dir, model)"
        )
    given: Any = model
    learner = given if hasattr(given, "differentiate") else rebuilt(config, given, run.path)
    return LoadedRun(learner, config, run.load_best(learner))
