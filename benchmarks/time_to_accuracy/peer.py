"""MAML by the library ``higher``, in the loop of its documentation, with the recipe's settings."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gradients import Gradient, distance
from benchmarks.time_to_accuracy.points import keep
from benchmarks.workloads import WORKLOADS, Workload
from fewstep import TaskBatch
from fewstep.config.schema import Config
from fewstep.data.registry import task_sources
from fewstep.data.source import made_on
from fewstep.learners.base import Learner
from fewstep.learners.build import learner_for
from fewstep.learners.schedules import cosine
from fewstep.metagrad.inner_loop import INNER_LR
from fewstep.training import checkpoint
from fewstep.training.optimizer import optimizer_of
from fewstep.training.run_dir import RunDir
from fewstep.training.state import State


def train(config: Config, run: Path, seconds: float) -> None:
    """Train from where the run is, for so long at most or to its end.

    The tasks, the initial weights, the outer optimiser, its schedule and the moving average are
    fewstep's, and take the same time; the gradient is the library's.
    """
    end, device = time.monotonic() + seconds, torch.device(config.device)
    source = task_sources(config)["train"]
    tasks = made_on(source, device)
    learner, workload = prepared(config, source.spec)
    state = State(
        learner, optimizer_of(config.optimizer, learner, config.outer_lr), config.ema_decay
    )
    files = RunDir(run)
    run.mkdir(parents=True, exist_ok=True)
    if files.last.exists():
        state.load(files.last)
    began = time.monotonic() - state.progress.seconds
    while state.progress.step < config.steps:
        step = state.progress.step
        first = step * config.meta_batch
        batch = tasks.batch(range(first, first + config.meta_batch)).to(device)
        gradient = gradient_of(config, step, workload, learner, batch)
        lr = cosine(config.outer_lr, config.final_outer_lr, step, config.steps)
        state.descend(gradient, lr)
        state.average_in()
        state.progress.step = step + 1
        over = step + 1 == config.steps or time.monotonic() > end
        if over or (step + 1) % config.checkpoint_every == 0:
            if device.type == "cuda":
                torch.cuda.synchronize()
            state.progress.seconds = time.monotonic() - began
            checkpoint.save(files.best, state.initialisation, state.progress)
            keep(run, step + 1, files.best)
            state.save(files.last)
        if over:
            return


def prepared(config: Config, spec: object) -> tuple[Learner, Workload]:
    """A learner of the config, with its network as the library takes it, and what it computes.

    Batch norm keeps no running statistics, which MAML does not use.
    """
    learner = learner_for(config, spec)  # type: ignore[arg-type]
    for part in learner.model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
    ways = config.n_way if config.kind == "classification" else 0
    usual = WORKLOADS["W1"]
    workload = replace(usual, ways=ways, lr=config.inner_lr, steps=config.inner_steps)
    return learner, workload


def gradient_of(
    config: Config, step: int, workload: Workload, learner: Learner, tasks: TaskBatch
) -> Gradient:
    """The library's gradient in an outer step: of first order where the recipe has it so.

    Each tensor is a group of the inner optimiser, whose step sizes are overridden where they are
    learned, as the library's documentation has it.
    """
    import higher

    model, learned = learner.model, dict(learner.named_parameters())
    names = [name for name, _ in model.named_parameters()]
    sizes = [INNER_LR + name for name in names if INNER_LR + name in learned]
    wanted = {name: learned[name] for name in (*names, *sizes)}
    optimizer = torch.optim.SGD([{"params": [p]} for p in model.parameters()], lr=workload.lr)
    first_order = step < round(config.first_order_share * config.steps)
    found = {name: torch.zeros_like(value) for name, value in wanted.items()}
    rows = learner._shared_rows()  # type: ignore[attr-defined]
    for task in range(len(tasks)):
        x, y, query_x, query_y = tasks.task(task)
        with higher.innerloop_ctx(model, optimizer, copy_initial_weights=False) as (copy, inner):
            _share(copy, [names.index(name) for name in rows])
            for number in range(workload.steps):
                rates = [learned[name][number] for name in sizes]
                inner.step(
                    workload.loss(copy(x), y),
                    override={"lr": rates} if rates else None,
                    grad_callback=_detached if first_order else None,
                )
            loss = workload.loss(copy(query_x), query_y) / len(tasks)
            gradients = torch.autograd.grad(loss, list(wanted.values()))
        for total, gradient in zip(found.values(), gradients, strict=True):
            total += gradient
    return found


def _share(copy: Any, rows: list[int]) -> None:
    """Let all classes start from the mean of the last layer's rows."""
    for place in rows:
        given = copy.fast_params[place]
        copy.fast_params[place] = given.mean(0, keepdim=True).expand_as(given)


def _detached(gradients: list[Tensor]) -> list[Tensor]:
    return [gradient.detach() for gradient in gradients]


def deviation(config: Config) -> float:
    """How far the library's gradient of the first meta-batch is from fewstep's, in float64.

    The larger distance, where the recipe has outer steps of both orders.
    """
    config = replace(config, device="cpu", execution="auto")
    source = task_sources(config)["train"]
    learner, workload = prepared(config, source.spec)
    batch = _in_float64(source.batch(range(config.meta_batch)))
    learner.double()
    return max(
        distance(
            gradient_of(config, step, workload, learner, batch),
            learner.differentiate(batch, step).gradient,
        )
        for step in (0, config.steps - 1)
    )


def _in_float64(tasks: TaskBatch) -> TaskBatch:
    parts = {n: getattr(tasks, n) for n in ("support_x", "support_y", "query_x", "query_y")}
    return replace(tasks, **{n: p.double() for n, p in parts.items() if p.is_floating_point()})
