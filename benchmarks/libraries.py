"""The same exact meta-gradient by each library, as its own documentation writes it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.workloads import Workload
from fewstep import MAML, TaskBatch

OuterGradient = Callable[[], dict[str, Tensor]]
"""Computes the gradient of the mean query loss, by parameter name."""


def by_fewstep(execution: str) -> Callable[[Workload, nn.Module, TaskBatch], OuterGradient]:
    """`fewstep.MAML` with one way of execution."""

    def prepare(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
        learner = MAML(model, workload.lr, workload.steps, loss=workload.loss, execution=execution)
        return lambda: learner.meta_gradient(tasks)[1]

    return prepare


def by_higher(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
    """``higher.innerloop_ctx``, task by task."""
    import higher

    optimizer = torch.optim.SGD(model.parameters(), lr=workload.lr)

    def gradient() -> dict[str, Tensor]:
        model.zero_grad()
        for x, y, query_x, query_y in _each(tasks):
            with higher.innerloop_ctx(model, optimizer, copy_initial_weights=False) as (
                copy,
                inner,
            ):
                for _ in range(workload.steps):
                    inner.step(workload.loss(copy(x), y))
                (workload.loss(copy(query_x), query_y) / len(tasks)).backward()
        return _gradients(model)

    return gradient


def by_torchopt(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
    """``torchopt.MetaSGD`` with the state put back after each task."""
    import torchopt

    inner = torchopt.MetaSGD(model, lr=workload.lr)

    def gradient() -> dict[str, Tensor]:
        start = torchopt.extract_state_dict(model, by="reference", detach_buffers=True)
        inner_start = torchopt.extract_state_dict(inner, by="reference")
        leaves = dict(model.named_parameters())
        for parameter in leaves.values():
            parameter.grad = None
        for x, y, query_x, query_y in _each(tasks):
            for _ in range(workload.steps):
                inner.step(workload.loss(model(x), y))
            (workload.loss(model(query_x), query_y) / len(tasks)).backward()
            torchopt.recover_state_dict(model, start)
            torchopt.recover_state_dict(inner, inner_start)
        return {name: parameter.grad for name, parameter in leaves.items()}

    return gradient


def by_iteryne(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
    """``iteryne.MAML``, one clone a task."""
    import iteryne

    maml = iteryne.MAML(model, inner_lr=workload.lr, inner_steps=workload.steps, first_order=False)

    def gradient() -> dict[str, Tensor]:
        model.zero_grad()
        for x, y, query_x, query_y in _each(tasks):
            learner = maml.clone()
            for _ in range(workload.steps):
                learner.adapt(workload.loss(learner(x), y))
            (workload.loss(learner(query_x), query_y) / len(tasks)).backward()
        return _gradients(model)

    return gradient


def _each(tasks: TaskBatch) -> zip[tuple[Tensor, Tensor, Tensor, Tensor]]:
    return zip(tasks.support_x, tasks.support_y, tasks.query_x, tasks.query_y, strict=True)


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


LIBRARIES = {
    "fewstep loop": by_fewstep("loop"),
    "fewstep vectorised": by_fewstep("vectorised"),
    "higher": by_higher,
    "TorchOpt": by_torchopt,
    "iteryne": by_iteryne,
}
