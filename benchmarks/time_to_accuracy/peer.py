"""MAML by the library ``higher``, in the loop of its documentation, with the recipe's settings."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from benchmarks.gradients import Gradient, distance
from benchmarks.libraries import by_higher
from benchmarks.time_to_accuracy.points import keep
from benchmarks.workloads import WORKLOADS, Workload
from fewstep import TaskBatch
from fewstep.config.schema import Config
from fewstep.data.registry import task_sources
from fewstep.data.source import made_on
from fewstep.learners.base import Learner
from fewstep.learners.build import learner_for
from fewstep.learners.schedules import cosine
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
    learner, model, workload = prepared(config, source.spec)
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
        gradient = gradient_of(config, step, workload, model, batch)
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


def prepared(config: Config, spec: object) -> tuple[Learner, nn.Module, Workload]:
    """A learner of the config, its network as the library takes it, and what it computes.

    Batch norm keeps no running statistics, which MAML does not use.
    """
    learner = learner_for(config, spec)  # type: ignore[arg-type]
    model = learner.model
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = part.num_batches_tracked = None
    ways = config.n_way if config.kind == "classification" else 0
    usual = WORKLOADS["W1"]
    workload = replace(usual, ways=ways, lr=config.inner_lr, steps=config.inner_steps)
    return learner, model, workload


def gradient_of(
    config: Config, step: int, workload: Workload, model: nn.Module, tasks: TaskBatch
) -> Gradient:
    """The library's gradient in an outer step: of first order where the recipe has it so."""
    if step < round(config.first_order_share * config.steps):
        return first_order(workload, model, tasks)
    return by_higher(workload, model, tasks)()


def first_order(workload: Workload, model: nn.Module, tasks: TaskBatch) -> Gradient:
    """By ``track_higher_grads=False``: the query loss's gradient at the adapted parameters."""
    import higher

    optimizer = torch.optim.SGD(model.parameters(), lr=workload.lr)
    found = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for task in range(len(tasks)):
        x, y, query_x, query_y = tasks.task(task)
        with higher.innerloop_ctx(model, optimizer, track_higher_grads=False) as (copy, inner):
            for _ in range(workload.steps):
                inner.step(workload.loss(copy(x), y))
            loss = workload.loss(copy(query_x), query_y) / len(tasks)
            gradients = torch.autograd.grad(loss, list(copy.parameters()))
        for total, gradient in zip(found.values(), gradients, strict=True):
            total += gradient
    return found


def deviation(config: Config) -> float:
    """How far the library's gradient of the first meta-batch is from fewstep's, in float64.

    The larger distance, where the recipe has outer steps of both orders.
    """
    config = replace(config, device="cpu", execution="auto")
    source = task_sources(config)["train"]
    learner, model, workload = prepared(config, source.spec)
    batch = _in_float64(source.batch(range(config.meta_batch)))
    learner.double()
    return max(
        distance(
            gradient_of(config, step, workload, model, batch),
            learner.differentiate(batch, step).gradient,
        )
        for step in (0, config.steps - 1)
    )


def _in_float64(tasks: TaskBatch) -> TaskBatch:
    parts = {n: getattr(tasks, n) for n in ("support_x", "support_y", "query_x", "query_y")}
    return replace(tasks, **{n: p.double() for n, p in parts.items() if p.is_floating_point()})
