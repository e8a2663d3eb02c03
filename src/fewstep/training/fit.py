"""Training for Python users: the outer loop of the command line, for any learner and tasks."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fewstep.data.source import TaskSource
from fewstep.distributed.forked import check_number
from fewstep.distributed.ranks import joined, ranks
from fewstep.distributed.shared import part_of
from fewstep.evaluation.diagnosis import diagnosis_as_json, findings
from fewstep.evaluation.evaluate import device_of, evaluate_tasks, own
from fewstep.evaluation.measurements import measure
from fewstep.evaluation.task_sets import TaskSet, drawn
from fewstep.evaluation.unit import in_unit_of
from fewstep.files import rounded
from fewstep.learners.base import Learner
from fewstep.runtime.rng import preserve_rng_state
from fewstep.training.described import BY_FIT, described, settings_of_fit
from fewstep.training.fit_arguments import (
    check_fit,
    check_type,
    first_metric,
    larger_is_better_of,
    of_the_same_size,
    optimizer_over,
)
from fewstep.training.interrupt import Interrupted
from fewstep.training.keeping import kept_in
from fewstep.training.loop import OuterLoop
from fewstep.training.provenance import provenance, versions
from fewstep.training.reporter import Callback, FitReporter
from fewstep.training.streams import stream_of
from fewstep.training.task_form import form_as_json, form_of
from fewstep.whole_numbers import check_whole


@dataclass(frozen=True, repr=False)
class FitResult:
    """How a training went; the learner holds the initialisation that was best in validation.

    Attributes:
        steps: Outer steps done.
        best_step: The outer step after which the initialisation was kept.
        best_score: Its first metric in validation; None without a finite one: then the last
            initialisation is kept.
        metric: The name of that metric; None without validation.
        stopped_early: Whether validation found nothing better for too long.
        finished: Whether the training came to its end; False where the tasks ended before.
        history: ``{"step": ..., "train/loss": ..., ...}`` for each outer step and, with
            ``val/score`` and more, for each validation.
        diagnosis: One sentence for each figure that is out of line, with what to do.
    """

    steps: int
    best_step: int
    best_score: float | None
    metric: str | None
    stopped_early: bool
    finished: bool
    history: list[dict[str, Any]]
    diagnosis: list[str]

    def __repr__(self) -> str:
        how = ", stopped early" if self.stopped_early else "" if self.finished else ", unfinished"
        best = self.best_score
        score = "" if best is None else f": validation {self.metric} {best:.4g}"
        lines = [f"{self.steps:,} outer steps{how}; kept after step {self.best_step:,}{score}"]
        return "\n".join([*lines, *(f"diagnosis: {sentence}" for sentence in self.diagnosis)])


def fit(
    learner: Learner,
    train: Any,
    validation: TaskSet | None = None,
    *,
    steps: int = 2000,
    optimizer: Optimizer | Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    run_dir: str | Path | None = None,
    callbacks: Callback | LRScheduler | Iterable[Callback | LRScheduler] | None = (),
    meta_batch: int = 32,
    val_every: int = 200,
    val_tasks: int = 200,
    val_steps: int | None = None,
    larger_is_better: bool | None = None,
    patience: int = 0,
    ema_decay: float = 0.0,
    checkpoint_every: int = 50,
    seed: int = 0,
    workers: int = 1,
) -> FitResult:
    """Meta-train a learner, and leave it with the initialisation that was best in validation.

    With a run directory, the same call again goes on where a training was stopped or killed, and
    ends bit for bit as an undisturbed one. Ctrl-C stops after the outer step, and keeps it.

    Args:
        learner: Any learner; its parameters are changed.
        train: The training tasks. A source, which makes tasks from their numbers by
            ``batch(indices)``; a function of the number of the outer step, from 0 on, that returns
            a `TaskBatch`; or an iterable, such as a DataLoader, of batches (each is a meta-batch)
            or of single tasks ``(support_x, support_y, query_x, query_y)``, ``meta_batch`` of which
            are stacked; or one `TaskBatch`, for every outer step. An iterable is gone through again
            and again; an iterator, such as a generator, once: the training ends with it,
            unfinished. To go on after an interruption, the tasks before are drawn and passed over.
            Random numbers that a function or an iterable draws from PyTorch, NumPy or Python depend
            on ``seed`` and the outer step.
        validation: Held-out tasks, as `fewstep.evaluate` takes them; those of an iterable are
            drawn once. Without any, the last initialisation is kept. Metrics are those of the
            learner, or else of a source, as there.
        steps: Outer steps in all.
        optimizer: One over ``learner.parameters()``, or a function of them that makes one; Adam
            with a step size of 0.001 unless given.
        run_dir: Where metrics and checkpoints are kept; nothing is written unless given.
        callbacks: Functions of (outer steps done, figures), or one, called after each outer step
            with ``train/loss``, ``train/score`` (the first metric) and ``train/gradient_norm``, and
            after each validation with ``val/score``, ``val/ci95``, ``val/loss`` and further
            metrics. A scheduler of ``torch.optim.lr_scheduler`` is one, too: it takes a step after
            each outer step. A GPU has to wait for functions, and not for schedulers.
        meta_batch: Tasks of an outer step.
        val_every: Outer steps between validations.
        val_tasks: Tasks of a validation at most.
        val_steps: Inner steps in validation; the learner's own number unless given.
        larger_is_better: Whether more of the first metric is better; known of ``accuracy``, of
            the loss, and of a source that says so.
        patience: The training stops early after so many validations without improvement; 0 for
            never.
        ema_decay: The initialisation that is validated and kept is the exponential moving average
            of the learned one with this decay; 0 for none.
        checkpoint_every: Outer steps between checkpoints; on a GPU ten seconds pass at least.
        seed: Of random layers and of the tasks' random numbers.
        workers: Processes that share each outer step's tasks, of one thread each: on a CPU the
            fastest way for networks such as Conv-4. Where torchrun started several, all of these
            do. Callbacks are called in the first alone.

    Returns:
        How it went; it prints as a few lines.

    Raises:
        InputError: The tasks do not fit, a setting is out of range, a loss is not finite, or the
            run directory holds another run.
        KeyboardInterrupt: The user stopped it.

    >>> import torch, fewstep
    >>> def waves(step):
    ...     x = torch.rand(4, 20, 1)
    ...     y = torch.rand(4, 1, 1) * torch.sin(6 * x)
    ...     return fewstep.TaskBatch(x[:, :10], y[:, :10], x[:, 10:], y[:, 10:])
    >>> learner = fewstep.MAML(torch.nn.Linear(1, 1), inner_lr=0.1, loss="mse")
    >>> fewstep.fit(learner, waves, validation=waves(0), steps=20).steps
    20
    """
    counts = {"steps": steps, "meta_batch": meta_batch, "val_every": val_every}
    counts |= {"val_tasks": val_tasks, "checkpoint_every": checkpoint_every}
    numbers = check_fit(learner, counts, patience, ema_decay, validation)
    numbers["seed"] = check_whole("seed", seed, -math.inf)
    check_type("larger_is_better", larger_is_better, bool | None, "True or False")
    check_type("run_dir", run_dir, str | Path | None, "the path of a folder")
    own_steps = own(learner, "inner_steps")
    inner_steps = check_whole("val_steps", own_steps if val_steps is None else val_steps)
    workers = check_number(workers)
    with joined(workers), preserve_rng_state():
        held_out = None if validation is None else drawn(validation, numbers["val_tasks"])
        measured = in_unit_of(learner, validation, train)
        metric = None
        if held_out is not None:
            # One task shows whether they fit, before hours of training.
            probe = evaluate_tasks(measured, held_out, 1, inner_steps, None)
            metric = first_metric(probe)
            if larger_is_better is None:
                larger_is_better = larger_is_better_of(metric, validation, train)
        made = optimizer_over(learner, optimizer)
        recorded = {"made_by": BY_FIT, **described(learner, made), **numbers}
        recorded |= {"val_steps": inner_steps, "metric": metric}
        settings = settings_of_fit(recorded, bool(larger_is_better))
        part = part_of(ranks(), learner)
        stream = stream_of(train, numbers["meta_batch"], numbers["seed"], device_of(learner), part)
        reporter = FitReporter(callbacks, tells=ranks().is_first)
        of_pictures = isinstance(train, TaskSource) and train.preparation is not None
        if of_pictures:
            learner.preparation = train.preparation
        with kept_in(None if run_dir is None else Path(run_dir), settings) as keeper:
            if of_pictures and keeper.run is not None:
                keeper.run.write_json(keeper.run.data, form_as_json(form_of(train)))
            loop = OuterLoop(
                settings=settings,
                learner=measured,
                optimizer=made,
                train=stream,
                validation=held_out,
                keeper=keeper,
                reporter=reporter,
                conditions=provenance(learner, {"train": train, "val": validation}),
            )
            _run(loop)
            return _result(loop, train, metric)


def _run(loop: OuterLoop) -> None:
    """Train, and leave the best initialisation and no gradient, whatever happens."""
    try:
        loop.run()
    except Interrupted as stopped:
        raise KeyboardInterrupt(str(stopped)) from None
    finally:
        loop.optimizer.zero_grad()
        loop.learner.zero_grad()  # those that the optimiser does not have
        loop.keeper.restore_best(loop.learner)


def _result(loop: OuterLoop, train: Any, metric: str | None) -> FitResult:
    progress, settings = loop.state.progress, loop.settings
    history = loop.keeper.history(progress.step)
    spent = progress.is_spent(settings.patience, settings.val_every)
    finished = spent or progress.step == settings.steps
    figures = None
    if loop.validation is not None:
        figures = measure(
            loop.learner,
            of_the_same_size(train, loop.validation),
            loop.validation,
            settings.val_steps,
            None,
            settings.val_tasks,
            larger_is_better=settings.larger_is_better,
            metrics=history,
            kept_at=progress.best_step,
            planned=None if finished else settings.steps,
        )
    result = FitResult(
        steps=progress.step,
        best_step=progress.best_step,
        best_score=progress.best_score,
        metric=metric,
        stopped_early=spent and progress.step < settings.steps,
        finished=finished,
        history=history,
        diagnosis=[_in_python(sentence) for sentence in findings(figures)] if figures else [],
    )
    run = loop.keeper.run
    if run is not None:
        told = {n: v for n, v in vars(result).items() if n not in ("history", "diagnosis")}
        seconds = {"training_seconds": round(progress.seconds, 3), "versions": versions()}
        diagnosis = {"diagnosis": diagnosis_as_json(figures) if figures else None}
        run.write_json(run.summary, rounded({**told, **seconds, **diagnosis}))
    return result


def _in_python(sentence: str) -> str:
    """A finding with names of arguments in place of flags."""
    sentence = sentence.replace(" (fewstep compare RUN)", ", fewstep.FineTune")
    named = re.sub(r"--([a-z-]+) (\d+)", r"--\1=\2", sentence)
    return re.sub(r"--([a-z-]+)", lambda flag: flag[1].replace("-", "_"), named)
