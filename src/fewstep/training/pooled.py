"""The pooled network of a run of a table: trained when it is first asked for, and kept there."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from fewstep.config.groups import Adaptation, Specialist
from fewstep.config.schema import Config
from fewstep.learners.finetune import FineTune
from fewstep.training.reporter import Reporter
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run, trained
from fewstep.training.split_file import kept_split

NO_STEP = 1e-12
"""A step size that moves nothing: what counts is the error before any inner step."""


def pooled_config(config: Config) -> Config:
    """The config of ordinary training with the network, outer steps and batches of a run."""
    plain: dict[str, Any] = {
        field.name: field.default for group in (Adaptation, Specialist) for field in fields(group)
    }
    plain |= {"algorithm": "finetune", "inner_lr": NO_STEP, "test_inner_steps": 1, "context": 0}
    return replace(config, **plain | {"norm": config.norm})


def pooled_network(run: Run, path: Path, reporter: Reporter) -> FineTune:
    """The pooled network beside a run, trained on the same tasks.

    A run that is one itself is its own.

    Args:
        run: Of a table.
        path: Its directory; the network is kept in ``rivals/pooled`` there.
        reporter: Told of its training.
    """
    if run.config.algorithm == "finetune":
        return _of_run(run)
    config, files = pooled_config(run.config), RunDir(path)
    split = kept_split(run.config, files)
    with trained(config, files.rivals / "pooled", reporter, split=split) as pooled:
        return _of_run(pooled)


def _of_run(run: Run) -> FineTune:
    assert isinstance(run.learner, FineTune)
    return run.learner
