"""The outer loop: MAML's Algorithm 2, with validation, checkpoints and resumption."""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass, replace

import torch

from fewstep.cli.progress import ProgressBar
from fewstep.config.file import training_digest
from fewstep.config.schema import Config
from fewstep.data.source import Split, TaskSource
from fewstep.errors import InputError
from fewstep.evaluation.evaluate import borrowed, judge_each, means
from fewstep.execution.executor import MetaGradient
from fewstep.learners.base import Learner
from fewstep.learners.divergence import DivergedError
from fewstep.learners.meta_parameters import move_statistics
from fewstep.learners.schedules import cosine
from fewstep.tasks import TaskBatch
from fewstep.training import checkpoint
from fewstep.training.interrupt import Interrupt, Interrupted
from fewstep.training.metrics_log import Metrics
from fewstep.training.prefetch import meta_batches
from fewstep.training.provenance import differences, provenance
from fewstep.training.run_dir import RunDir
from fewstep.training.state import State, fresh_state


@dataclass
class OuterLoop:
    """One run.

    Attributes:
        config: Everything that decides the result.
        learner: Its parameters are changed.
        tasks: Those to train on and those to validate on.
        run: Where metrics and checkpoints go.
        bar: Shows how far it is.
    """

    config: Config
    learner: Learner
    tasks: dict[Split, TaskSource]
    run: RunDir
    bar: ProgressBar

    def train(self, resume: bool) -> State:
        """Run to the end, and leave the learner with the last parameters.

        With patience it ends early where validation finds nothing better.

        Args:
            resume: Go on from the last checkpoint.

        Raises:
            InputError: A loss is not finite, or something cannot be written. The last checkpoint
                stays, if there is one.
            Interrupted: The user stopped it. It is saved.
        """
        self.state = fresh_state(self.learner, self.config.outer_lr, self.config.ema_decay)
        if resume:
            self.state.load(self.run.last)
        self.state.progress = replace(self.state.progress, settings=training_digest(self.config))
        first = self.state.progress.step
        self.kept = first
        self.bar.start(first, self.config.steps)
        # No file of a run that is done is touched: it may be tested again and again.
        if first < self.config.steps and not self._is_stopped_early():
            self._compare_provenance()
            with Metrics(self.run, first) as self.metrics, Interrupt() as interrupt:
                self._train_from(first, interrupt)
        return self.state

    def _train_from(self, first: int, interrupt: Interrupt) -> None:
        if self.metrics.missing:
            self.bar.say(
                f"{self.run.metrics} lacks {self.metrics.missing:,} of the {first:,} outer steps "
                "done; the weights are whole, so training goes on"
            )
        self.began = time.monotonic() - self.state.progress.seconds
        for step, numbers, batch in meta_batches(self.tasks["train"], self.config, first):
            self._outer_step(step, numbers, batch)
            last = step + 1 == self.config.steps
            if (step + 1) % self.config.val_every == 0 or last:
                self._validate()
            if last and (step + 1) % self.config.val_every:
                self._note_extra_validation(step + 1)
            # Read once: a signal that comes later is taken after the next outer step.
            stop = interrupt.requested
            done = last or stop or self._patience_is_spent()
            if (step + 1) % self.config.checkpoint_every == 0 or done:
                self._checkpoint()
            if stop:
                raise Interrupted(f"stopped after outer step {step + 1}")
            if not last and self._is_stopped_early():
                return

    def _compare_provenance(self) -> None:
        """Say so where a resumed run may not end bit for bit where an undisturbed one does."""
        now = provenance(self.config, self.learner, self.tasks)
        line = differences(self.state.progress.computed_with, now)
        if line:
            self.bar.say(line)
        self.state.progress = replace(self.state.progress, computed_with=now)

    def _note_extra_validation(self, step: int) -> None:
        """Keep that a run of more steps would not have been validated here."""
        noted = {**self.state.progress.computed_with, "extra validation": f"after step {step}"}
        self.state.progress = replace(self.state.progress, computed_with=noted)

    def _outer_step(self, step: int, numbers: range, batch: TaskBatch) -> None:
        """Lines 4 to 10 of Algorithm 2 for one meta-batch, and the average."""
        config, state = self.config, self.state
        # Random layers depend on the step alone, so that a resumed run draws what this one drew.
        torch.manual_seed(zlib.crc32(f"{config.seed}/{step}".encode()))
        try:
            result = self.learner.differentiate(batch, step)
        except DivergedError as error:
            task = "" if error.task is None else f" in task {numbers[error.task]}"
            raise self._diverged(f"{error.what}{task}", step + 1) from error
        norm = _gradient_norm(result)
        bad = _not_finite(result, norm, numbers)
        if bad:
            raise self._diverged(bad, step + 1)
        lr = cosine(config.outer_lr, config.final_outer_lr, step, config.steps)
        state.descend(result.gradient, lr)
        move_statistics(state.parameters, result.statistics or {})
        state.average_in(config.ema_decay)
        state.progress = replace(state.progress, step=step + 1)
        loss, score = result.query.losses.mean().item(), result.query.scores.mean().item()
        figures = {"train/loss": loss, "train/score": score, "train/gradient_norm": norm}
        self.metrics.add(step + 1, figures)
        self.bar.step(step + 1, loss, score)

    def _validate(self) -> None:
        """Judge on classes that training never sees; keep the initialisation if it is the best."""
        config, state = self.config, self.state
        with borrowed(state.parameters, state.judged):
            judged = judge_each(
                self.learner,
                self.tasks["val"],
                config.val_tasks,
                config.test_inner_steps,
                config.norm,
                config.device,
            )
        result = means(judged)
        step, score, best = state.progress.step, result.score.mean[-1], state.progress.best_score
        if result.diverged:
            task, inner = result.diverged
            raise self._diverged(
                f"the loss is not finite in validation task {task} after {inner} inner steps", step
            )
        figures = {"score": score, "ci95": result.score.ci95[-1], "loss": result.loss.mean[-1]}
        self.metrics.add(step, {f"val/{name}": value for name, value in figures.items()})
        self.bar.validated(step, result)
        larger = self.tasks["val"].spec.larger_is_better
        if best is None or (score > best if larger else score < best):
            state.progress = replace(state.progress, best_step=step, best_score=score)
            self._keep_time()
            # First, because it notices where the run directory is gone.
            self.metrics.flush()
            checkpoint.save(self.run.best, state.judged, state.progress)

    def _patience_is_spent(self) -> bool:
        """Whether too many validations found nothing better; by what a checkpoint holds alone."""
        config, progress = self.config, self.state.progress
        fruitless = progress.step // config.val_every - progress.best_step // config.val_every
        return 0 < config.patience <= fruitless and progress.best_score is not None

    def _is_stopped_early(self) -> bool:
        """Whether patience is spent; says so where it is."""
        progress, spent = self.state.progress, self._patience_is_spent()
        if spent:
            self.bar.stopped_early(progress.step, progress.best_step)
        return spent

    def _checkpoint(self) -> None:
        self._keep_time()
        self.metrics.flush()
        self.state.save(self.run.last)
        self.kept = self.state.progress.step

    def _keep_time(self) -> None:
        seconds = time.monotonic() - self.began
        self.state.progress = replace(self.state.progress, seconds=seconds)

    def _diverged(self, what: str, step: int) -> InputError:
        kept = "there is no checkpoint yet"
        if self.kept:
            kept = f"the checkpoint of outer step {self.kept} is kept"
        return InputError(
            f"{what} of outer step {step}; {kept}: try a smaller --inner-lr or --outer-lr in "
            "a new run directory"
        )


def _gradient_norm(result: MetaGradient) -> float:
    return float(torch.stack([g.norm() for g in result.gradient.values()]).norm())


def _not_finite(result: MetaGradient, norm: float, numbers: range) -> str | None:
    bad = (~result.query.losses.isfinite()).nonzero()
    if len(bad):
        return f"the loss is {result.query.losses[bad[0]].item()} in task {numbers[int(bad[0])]}"
    if not math.isfinite(norm):
        return f"the gradient is {norm} in tasks {numbers[0]} to {numbers[-1]}"
    return None
