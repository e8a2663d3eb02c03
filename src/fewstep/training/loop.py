"""The outer loop: MAML's Algorithm 2, with validation, checkpoints and resumption."""

import math
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fewstep.config.algorithms import steps_in_words
from fewstep.distributed import shared
from fewstep.distributed.ranks import ranks
from fewstep.errors import InputError
from fewstep.evaluation.evaluate import assign, borrowed, device_of, evaluate_tasks, means
from fewstep.evaluation.task_sets import TaskSet
from fewstep.execution.executor import MetaGradient
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.learners.divergence import DivergedError
from fewstep.runtime.rng import seed_torch
from fewstep.tasks import TaskBatch
from fewstep.training.figures import (
    READ_AFTER,
    NotFiniteError,
    Read,
    Waiting,
    figures_every,
    step_figures,
)
from fewstep.training.interrupt import Interrupt, Interrupted
from fewstep.training.keeping import Keeper
from fewstep.training.provenance import Provenance, differences
from fewstep.training.reporter import Reporter
from fewstep.training.settings import OuterSettings
from fewstep.training.state import State, start_alike
from fewstep.training.streams import Stream
from fewstep.training.top import with_validation

CHECKPOINT_SECONDS = 10.0
"""Between checkpoints on a GPU at least, which waits while one is written."""


@dataclass
class OuterLoop:
    """One training, which changes the learner's parameters."""

    settings: OuterSettings
    learner: Learner
    optimizer: torch.optim.Optimizer
    train: Stream
    validation: TaskSet | None  # without any, the last initialisation is kept
    keeper: Keeper
    reporter: Reporter
    conditions: Provenance  # what decides the bits beside the settings

    def __post_init__(self) -> None:
        self.ranks = ranks()
        if len({*self.ranks.gather((self.settings.digest, self.settings.steps))}) > 1:
            raise InputError("the ranks train by other settings; give all of them the same")
        start_alike(self.learner)
        self.state = State(self.learner, self.optimizer, self.settings.ema_decay)
        self.device = device_of(self.learner)
        # Ranks have to find what is not finite after the same step.
        seconds = READ_AFTER if self.ranks.size == 1 else math.inf
        self.waiting = Waiting(figures_every(self.device, self.reporter.prompt), seconds)
        self._good: dict[str, Tensor] = {}
        self.written = -math.inf  # when a checkpoint was
        self.asked: Tensor | None = None  # of how many ranks to stop, where there are several

    def run(self) -> None:
        """Train, from what the keeper has, and leave the learner with the last parameters.

        With patience it ends early where validation finds nothing better. Where a loss is not
        finite or something cannot be written, the last checkpoint stays.
        """
        self.keeper.load_last(self.state)
        self.progress = self.state.progress
        self.progress.settings = self.settings.digest
        first, steps = self.progress.step, self.settings.steps
        self.kept = first
        self.reporter.start(first, steps)
        self.learner.expect(steps)
        try:
            if first == steps:
                self.reporter.say(f"all {steps:,} outer steps are done")
            elif first:
                self.reporter.say(f"going on after outer step {first:,}")
            # No file of a run that is done is touched: it may be tested again and again.
            if first < steps and not self._is_stopped_early():
                self._train_from(first)
        except NotFiniteError as error:
            assign({name: self.state.parameters[name] for name in self._good}, self._good)
            kept = f"the checkpoint of outer step {self.kept} is kept"
            kept = kept if self.kept else "there is no checkpoint yet"
            raise InputError(f"{error}; {kept}: {self.settings.remedy}") from error
        finally:
            self.learner.expect(None)
            self.reporter.stop()

    def _train_from(self, first: int) -> None:
        # A resumed run may not end bit for bit where an undisturbed one does.
        line = differences(self.progress.computed_with, self.conditions)
        if line:
            self.reporter.say(line)
        self.progress.computed_with = self.conditions
        self.began = time.monotonic() - self.progress.seconds
        with self.keeper.open(first) as log, Interrupt() as interrupt:
            if log is not None and log.missing:
                self.reporter.say(
                    f"{log.path} lacks {log.missing:,} of the {first:,} outer steps done; "
                    "the weights are whole, so training goes on"
                )
            self._keep_good()
            try:
                self._take_steps(first, self.settings.steps, interrupt)
            except Exception:
                # Where something went wrong in an earlier step, that is what has to be told.
                self._tell(self.waiting.rest())
                raise

    def _take_steps(self, first: int, steps: int, interrupt: Interrupt) -> None:
        for numbers, batch in self.train(first, steps):
            self._tell(self._take_step(numbers, batch, interrupt))
            step = self.progress.step
            last = step == steps
            self._validate_after(step, last)
            stop = self._is_to_stop(interrupt, last)
            done = (
                last
                or stop
                or self.progress.is_spent(self.settings.patience, self.settings.val_every)
            )
            if done or self._is_due(step):
                self._checkpoint()
            if stop:
                self.ranks.wait()  # until the first has written
                raise Interrupted(f"stopped after outer step {step}")
            if last or self._is_stopped_early():
                return
        step = self.progress.step
        self.reporter.say(
            f"the training tasks ended after {step:,} of {steps:,} outer steps: give more of them, "
            "or an iterable that can be gone through again"
        )
        if step > first:
            self._validate_after(step, last=True)
            self._checkpoint()

    def _is_to_stop(self, interrupt: Interrupt, last: bool) -> bool:
        """Whether a signal came; one that comes later is taken after the next outer step."""
        if last or self.asked is None:
            return any(self.ranks.gather(interrupt.requested))
        # All ranks have to read it after the same step.
        return self.progress.step % figures_every(self.device, False) == 0 and bool(self.asked)

    def _take_step(self, numbers: Sequence[int], batch: TaskBatch, interrupt: Interrupt) -> Read:
        """Lines 4 to 10 of Algorithm 2, on tasks of these numbers; figures that are to be told."""
        step = self.progress.step
        # Random layers depend on the step alone, so that a resumed run draws what this one drew.
        seed_torch(zlib.crc32(f"{self.settings.seed}/{step}".encode()), self.device)
        try:
            result = self._differentiated(len(numbers), batch, interrupt)
        except DivergedError as error:
            task = "" if error.task is None else f" in task {numbers[error.task]}"
            raise NotFiniteError(f"{error.what}{task} of outer step {step + 1}") from error
        found = self.waiting.add(step_figures(step + 1, numbers, result))
        if found.bad:
            # On the CPU before anything changes.
            self._tell(found)
        self.state.descend(result.gradient, self.settings.lr(step) if self.settings.lr else None)
        self.learner.update_statistics(result.statistics or {})
        self.state.average_in()
        self.progress.step = step + 1
        self.reporter.advance()
        return found

    def _differentiated(self, tasks: int, batch: TaskBatch, interrupt: Interrupt) -> MetaGradient:
        """The gradient of a meta-batch of so many tasks, of which these are this rank's."""
        step = self.progress.step
        if self.ranks.size == 1:
            return self.learner.differentiate(batch, step)
        share = shared.share_of(self.ranks, self.learner, tasks)
        asked = interrupt.requested
        found, self.asked = shared.differentiate(
            self.ranks, self.learner, batch, share, step, asked
        )
        return found

    def _tell(self, read: Read) -> None:
        """Keep and report figures; an error where something is not finite behind them."""
        for step, figures in read.told:
            self.keeper.add(step, figures)
            self.reporter.step(step, figures)
        if read.bad:
            raise read.bad

    def _keep_good(self) -> None:
        """Keep the parameters where those of later steps may turn out to be none too late."""
        if self.waiting.every > 1:
            self._good = {name: p.detach().clone() for name, p in self.state.parameters.items()}

    def _validate_after(self, step: int, last: bool) -> None:
        """Validate after every ``val_every`` outer steps and after the last one."""
        regular = step % self.settings.val_every == 0
        if self.validation is not None and (regular or last):
            self._tell(self.waiting.rest())
            self._validate(self.validation)
            if last and self.progress.best_score is None:
                self.reporter.say("no validation was finite: the last initialisation is kept")
                self._keep_best()
            if not regular:
                # A run of more steps would not have been validated here.
                noted = {"extra validation": f"after step {step}"}
                self.progress.computed_with = {**self.progress.computed_with, **noted}

    def _validate(self, tasks: TaskSet) -> None:
        """Evaluate on tasks that training never sees; keep the initialisation if it is the best."""
        settings, state, step = self.settings, self.state, self.progress.step
        with borrowed(state.parameters, state.initialisation):
            learner = for_ways(self.learner, settings.val_ways)[0]
            found = evaluate_tasks(
                learner, tasks, settings.val_tasks, settings.val_steps, settings.norm
            )
        result = means(found)
        if result.diverged:
            task, inner = result.diverged
            raise NotFiniteError(
                f"the loss is not finite in validation task {task} after "
                f"{steps_in_words(None, inner)} of outer step {step}"
            )
        score, best = result.score.mean[-1], self.progress.best_score
        others = {f"val/{name}": m.mean[-1] for name, m in list(result.metrics.items())[1:]}
        figures = {"val/score": score, "val/ci95": result.score.ci95[-1]}
        figures |= {"val/loss": result.loss.mean[-1], **others}
        self.keeper.add(step, figures)
        self.reporter.validated(step, figures, result)
        better = best is None or (score > best if settings.larger_is_better else score < best)
        if better and math.isfinite(score):
            self.progress.best_score = score
            self._keep_best()
        if math.isfinite(score):
            self._keep_among_the_best(score)

    def _keep_among_the_best(self, score: float) -> None:
        progress, settings = self.progress, self.settings
        progress.top = with_validation(
            progress.top,
            progress.step,
            score,
            settings.top,
            larger_is_better=settings.larger_is_better,
        )
        if any(step == progress.step for step, _ in progress.top):
            self.keeper.keep_top(self.state)

    def _keep_best(self) -> None:
        self.progress.best_step = self.progress.step
        self.progress.seconds = time.monotonic() - self.began
        self.keeper.keep_best(self.state)

    def _is_stopped_early(self) -> bool:
        """Whether patience is spent; says so where it is."""
        spent = self.progress.is_spent(self.settings.patience, self.settings.val_every)
        if spent:
            self.reporter.say(
                f"stopped early after step {self.progress.step:,}: validation was best after step "
                f"{self.progress.best_step:,}"
            )
        return spent

    def _is_due(self, step: int) -> bool:
        """Whether it is time for a checkpoint: not many a second, where steps take milliseconds."""
        waited = time.monotonic() - self.written
        regular = step % self.settings.checkpoint_every == 0
        return regular and (self.waiting.every == 1 or waited > CHECKPOINT_SECONDS)

    def _checkpoint(self) -> None:
        self._tell(self.waiting.rest())
        self._keep_good()
        if self.validation is None:
            self._keep_best()
        self.progress.seconds = time.monotonic() - self.began
        if self.keeper.keep_last(self.state):
            self.kept = self.progress.step
        self.written = time.monotonic()
