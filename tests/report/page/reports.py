"""Reports made by hand, of runs that were never trained."""

from dataclasses import replace
from pathlib import Path

import torch

from fewstep.config.recipes import find_recipe, table_config
from fewstep.evaluation.by_task import Answers, ByTask
from fewstep.evaluation.calibrated import calibrated
from fewstep.evaluation.evaluate import means
from fewstep.learners.base import Evaluation, Predictions
from fewstep.report.page.measured import Measured, Report, Reported, SideBySide
from fewstep.report.page.run_files import RunFiles
from fewstep.report.page.task_pictures import task_pictures
from fewstep.tasks import TaskBatch
from fewstep.training.checkpoint import Progress

CONFIG = replace(find_recipe("glyphs-5way-1shot").config, n_way=3, q_query=2)


def files(name="run", config=CONFIG, **more):
    """A run with a validation and two outer steps."""
    told = [{"step": 1, "train/loss": 1.5}, {"step": 2, "train/loss": 1.25}]
    told.append({"step": 2, "val/score": 0.5, "val/ci95": 0.1})
    settings = {"seed": 0, "steps": 2, "meta_batch": 4, "val_tasks": 3}
    given = {"progress": Progress(2, 3.5), "metrics": told, **more}
    return RunFiles(name, Path(name), config, settings, **given)


def measured(names, config=CONFIG, pixels=(1, 28, 28)):
    """Four tasks of three of the classes each, every second query example wrong."""
    torch.manual_seed(0)
    labels = torch.arange(3).repeat_interleave(2)
    predicted = torch.tensor([0, 1, 1, 2, 2, 0])
    answers = [
        Answers(labels, predicted, torch.tensor([n, (n + 1) % len(names), (n + 2) % len(names)]))
        for n in range(4)
    ]
    logits = torch.eye(3)[predicted].repeat(4, 1)
    found = Predictions(logits, labels.repeat(4))
    scores = torch.tensor([[0.25, 0.5]] * 4)
    tasks = ByTask(Evaluation(2 - scores, {"accuracy": scores}, found), None, answers)
    result = replace(means(tasks.evaluation), calibration=calibrated(found, 1.5))
    x, support = torch.rand(1, 6, *pixels), torch.rand(1, 3, *pixels)
    batch = TaskBatch(support, torch.arange(3)[None], x, labels[None])
    drawn = [task_pictures(n, batch, answers[n], names, ink=True) for n in range(2)]
    return Measured(config, "transductive", result, tasks, names, drawn[:1], drawn[1:])


def report(*runs, command="fewstep report run"):
    """A report of runs, each with its name, its files and what was measured."""
    told = [Reported(*run) for run in runs]
    groups = [
        SideBySide([f.name], one.config, {f.name: one.results, "random": one.results})
        for f, one in runs
        if not isinstance(one, str)
    ]
    return Report(told, groups, command)


def table_files(name, target, rival, broken=False):
    """A run of a table that was compared with a rival."""
    config = table_config(f"/data/{name}.csv", task="school", target=target)
    models = {
        "this": {"mean": 1.0, "ci95": 0.1},
        rival: {"mean": None if broken else 2.0, "ci95": None},
    }
    at = {"tasks": 4, "best": "this", "not_told_apart": [rival], "models": models}
    comparison = {
        **{"run": "this", "score": "rmse", "target": target, "data": name, "draws": 9},
        **{"q_query": 5, "seed": 0, "rows": {"1": at, "5": at}},
    }
    interval = {
        **{"level": 0.95, "half_widths": {"1": 3.0, "5": 2.0}, "steps": 1, "tasks": 4},
        **{"coverage": {"1": 0.9, "5": 0.94}, "coverage_ci95": {"1": 0.05, "5": None}},
    }
    return files(name, config, comparison=comparison, interval=interval)
