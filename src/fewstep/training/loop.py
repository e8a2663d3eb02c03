"""The outer loop: MAML's Algorithm 2, with validation, checkpoints and resumption."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from fewstep.errors import InputError
from fewstep.evaluation.evaluate import borrowed, evaluate_tasks, means
from fewstep.evaluation.task_sets import TaskSet
from fewstep.learners.base import Learner
from fewstep.training.interrupt import Interrupt, Interrupted
from fewstep.training.keeping import Keeper
from fewstep.training.outer_step import NotFiniteError, outer_step
from fewstep.training.provenance import Provenance, differences
from fewstep.training.reporter import Reporter
from fewstep.training.settings import OuterSettings
from fewstep.training.state import fresh_state
from fewstep.training.streams import Stream


@dataclass
class OuterLoop:
    """One training.

    Attributes:
        settings: What it does.
        learner: Its parameters are changed.
        optimizer: Over those parameters.
        train: The tasks to train on.
        validation: The tasks to validate on; without any, the last initialisation is kept.
        keeper: Where figures and checkpoints go.
        reporters: Told how far it is.
        conditions: What decides the bits beside the settings.
    """

    settings: OuterSettings
    learner: Learner
    optimizer: torch.optim.Optimizer
    train: Stream
    validation: TaskSet | None
    keeper: Keeper
    reporters: Sequence[Reporter]
    conditions: Provenance

    def __post_init__(self) -> None:
        self.state = fresh_state(self.learner, self.optimizer, self.settings.ema_decay)

    def run(self) -> None:
        """Train, from what the keeper has, and leave the learner with the last parameters.

        With patience it ends early where validation finds nothing better.

        Raises:
            InputError: A loss is not finite, or something cannot be written. The last checkpoint
                stays, if there is one.
            Interrupted: The user stopped it. It is saved.
        """
        self.keeper.load_last(self.state)
        self.state.progress = replace(self.state.progress, settings=self.settings.digest)
        first, steps = self.state.progress.step, self.settings.steps
        self.kept = first
        for reporter in self.reporters:
            reporter.start(first, steps)
        try:
            if first == steps:
                self._say(f"all {steps:,} outer steps are done")
            elif first:
                self._say(f"going on after outer step {first:,}")
            # No file of a run that is done is touched: it may be tested again and again.
            if first < steps and not self._is_stopped_early():
                self._compare_conditions()
                self.began = time.monotonic() - self.state.progress.seconds
                with self.keeper.open(first) as log, Interrupt() as interrupt:
                    if log is not None and log.missing:
                        self._say(
                            f"{log.path} lacks {log.missing:,} of the {first:,} outer steps done; "
                            "the weights are whole, so training goes on"
                        )
                    self._train_from(first, interrupt)
        finally:
            for reporter in self.reporters:
                reporter.stop()

    def _train_from(self, first: int, interrupt: Interrupt) -> None:
        step, steps = first, self.settings.steps
        for numbers, batch in self.train(first, steps):
            try:
                figures = outer_step(self.learner, self.state, self.settings, numbers, batch)
            except NotFiniteError as error:
                raise self._diverged(str(error), step + 1) from error
            step += 1
            self.keeper.add(step, figures)
            for reporter in self.reporters:
                reporter.step(step, figures)
            last = step == steps
            self._validate_after(step, last)
            # Read once: a signal that comes later is taken after the next outer step.
            stop = interrupt.requested
            done = last or stop or self._patience_is_spent()
            if step % self.settings.checkpoint_every == 0 or done:
                self._checkpoint()
            if stop:
                raise Interrupted(f"stopped after outer step {step}")
            if last or self._is_stopped_early():
                return
        self._say(
            f"the training tasks ended after {step:,} of {steps:,} outer steps: give more of them, "
            "or an iterable that can be gone through again"
        )
        if step > first:
            self._validate_after(step, last=True)
            self._checkpoint()

    def _compare_conditions(self) -> None:
        """Say so where a resumed run may not end bit for bit where an undisturbed one does."""
        line = differences(self.state.progress.computed_with, self.conditions)
        if line:
            self._say(line)
        self.state.progress = replace(self.state.progress, computed_with=self.conditions)

    def _validate_after(self, step: int, last: bool) -> None:
        """Validate after every ``val_every`` outer steps and after the last one."""
        regular = step % self.settings.val_every == 0
        if self.validation is not None and (regular or last):
            self._validate(self.validation)
            if not regular:
                # A run of more steps would not have been validated here.
                noted = {"extra validation": f"after step {step}"}
                conditions = {**self.state.progress.computed_with, **noted}
                self.state.progress = replace(self.state.progress, computed_with=conditions)

    def _validate(self, tasks: TaskSet) -> None:
        """Evaluate on tasks that training never sees; keep the initialisation if it is the best."""
        settings, state = self.settings, self.state
        with borrowed(state.parameters, state.initialisation):
            found = evaluate_tasks(
                self.learner, tasks, settings.val_tasks, settings.val_steps, settings.norm
            )
        result = means(found)
        step, score, best = state.progress.step, result.score.mean[-1], state.progress.best_score
        if result.diverged:
            task, inner = result.diverged
            raise self._diverged(
                f"the loss is not finite in validation task {task} after {inner} inner steps", step
            )
        others = {f"val/{name}": m.mean[-1] for name, m in list(result.metrics.items())[1:]}
        figures = {"val/score": score, "val/ci95": result.score.ci95[-1]}
        figures |= {"val/loss": result.loss.mean[-1], **others}
        self.keeper.add(step, figures)
        for reporter in self.reporters:
            reporter.validated(step, figures, result)
        if best is None or (score > best if settings.larger_is_better else score < best):
            state.progress = replace(state.progress, best_score=score)
            self._keep_best()

    def _keep_best(self) -> None:
        self.state.progress = replace(self.state.progress, best_step=self.state.progress.step)
        self._keep_time()
        self.keeper.keep_best(self.state.initialisation, self.state.progress)

    def _patience_is_spent(self) -> bool:
        """Whether too many validations found nothing better; by what a checkpoint holds alone."""
        return self.state.progress.is_spent(self.settings.patience, self.settings.val_every)

    def _is_stopped_early(self) -> bool:
        """Whether patience is spent; says so where it is."""
        progress, spent = self.state.progress, self._patience_is_spent()
        if spent:
            self._say(
                f"stopped early after step {progress.step:,}: validation was best after step "
                f"{progress.best_step:,}"
            )
        return spent

    def _checkpoint(self) -> None:
        if self.validation is None:
            self._keep_best()
        self._keep_time()
        if self.keeper.keep_last(self.state):
            self.kept = self.state.progress.step

    def _keep_time(self) -> None:
        seconds = time.monotonic() - self.began
        self.state.progress = replace(self.state.progress, seconds=seconds)

    def _diverged(self, what: str, step: int) -> InputError:
        kept = "there is no checkpoint yet"
        if self.kept:
            kept = f"the checkpoint of outer step {self.kept} is kept"
        return InputError(f"{what} of outer step {step}; {kept}: {self.settings.remedy}")

    def _say(self, line: str) -> None:
        for reporter in self.reporters:
            reporter.say(line)
