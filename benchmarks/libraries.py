"""The same exact meta-gradient by each library, as its own documentation writes it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks import MEMORY_KEPT
from benchmarks.workloads import Workload
from fewstep import MAML, TaskBatch
from fewstep.distributed.ranks import joined
from fewstep.distributed.shared import differentiate, share_of

OuterGradient = Callable[[], dict[str, Tensor]]
"""Computes the gradient of the mean query loss, by parameter name."""


Prepare = Callable[[Workload, nn.Module, TaskBatch], OuterGradient]
"""Everything that is done once."""


_TO_THE_END = ExitStack()
"""Contexts that stand until the process ends."""
OUTER_STEPS = 60_000
"""Of a long training, for which it pays to compile and to record."""


def by_fewstep(workers: int = 1, **settings: Any) -> Prepare:
    """`fewstep.MAML` with some settings, in a number of processes, as in a long training."""

    def prepare(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
        learner = MAML(model, workload.lr, workload.steps, loss=workload.loss, **settings)
        learner.expect(OUTER_STEPS)
        if workers == 1:
            return lambda: learner.meta_gradient(tasks)[1]
        ranks = _TO_THE_END.enter_context(joined(workers))
        share = share_of(ranks, learner, len(tasks))
        part = tasks[share.own.start : share.own.stop]

        def gradient() -> dict[str, Tensor]:
            # None of them begins before the first does.
            ranks.sum(torch.zeros(1))
            return differentiate(ranks, learner, part, share, 0, False)[0].gradient

        while not ranks.is_first:
            gradient()
        return gradient

    return prepare


def by_plain_loop(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
    """PyTorch alone: ``functional_call``, and gradients with ``create_graph``."""
    start = dict(model.named_parameters())

    def gradient() -> dict[str, Tensor]:
        losses = []
        for x, y, query_x, query_y in _each(tasks):
            params = start
            for _ in range(workload.steps):
                loss = workload.loss(functional_call(model, params, (x,)), y)
                found = torch.autograd.grad(loss, list(params.values()), create_graph=True)
                pairs = zip(params.items(), found, strict=True)
                params = {name: value - workload.lr * g for (name, value), g in pairs}
            loss = workload.loss(functional_call(model, params, (query_x,)), query_y)
            losses.append(torch.autograd.grad(loss / len(tasks), list(start.values())))
        means = map(sum, zip(*losses, strict=True))
        return dict(zip(start, means, strict=True))

    return gradient


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


def by_parallel_metalearn(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
    """``metalearn.algorithms.MAML`` over all tasks at once, with its own batch norm."""
    from metalearn.algorithms import MAML as ItsMAML  # noqa: N811 - it is a class
    from metalearn.inner_optimizers import InnerSGD
    from metalearn.loss import BaseLoss
    from metalearn.nn_models.basic_layers.BatchNormalization import BatchNorm

    # Its own converter of models calls this layer with arguments that it does not have.
    for block in model.modules():
        for name, layer in block.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                own = BatchNorm(layer.num_features, layer.eps, track_running_stats=False)
                own.load_state_dict(layer.state_dict())
                setattr(block, name, own.to(layer.weight))

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor, **_: object) -> dict[str, object]:
            return {"prediction": self.model(x), "buffers": dict(self.named_buffers())}

        def get_fast_weights(self) -> OrderedDict[str, Tensor]:
            return OrderedDict(self.named_parameters())

    class Loss(BaseLoss):
        def forward(self, out_dict: dict[str, Tensor], targets: Tensor, **_: object) -> object:
            loss = workload.loss(out_dict["prediction"], targets)
            return loss, loss.detach()

    like = next(model.parameters())
    wrapped = Wrapped().to(like)
    inner = InnerSGD(
        wrapped.get_fast_weights(),
        inner_lr=workload.lr,
        max_inner_steps=workload.steps,
        learn_lr=False,
    ).to(like)
    for value in (*inner.parameters(), *inner.buffers()):
        # It was rounded to float32.
        value.data.fill_(workload.lr)
    learner = ItsMAML(
        model=wrapped,
        # It takes the outer step as well; this one changes nothing.
        optimizer=torch.optim.SGD(wrapped.parameters(), lr=0.0),
        inner_optimizer=inner,
        support_loss_fn=Loss(),
        inner_steps=workload.steps,
        device=like.device,
    )

    def gradient() -> dict[str, Tensor]:
        batch = (tasks.support_x, tasks.support_y, tasks.query_x, tasks.query_y)
        learner.step(iter([batch]), training=True)
        return _gradients(wrapped.model)

    return gradient


def _each(tasks: TaskBatch) -> zip[tuple[Tensor, Tensor, Tensor, Tensor]]:
    return zip(tasks.support_x, tasks.support_y, tasks.query_x, tasks.query_y, strict=True)


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def plain_attention(prepare: Prepare) -> Prepare:
    """Another library, when its user has turned off what PyTorch cannot differentiate twice."""

    def prepared(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
        gradient = prepare(workload, model, tasks)

        def plainly() -> dict[str, Tensor]:
            with sdpa_kernel(SDPBackend.MATH):
                return gradient()

        return plainly

    return prepared


def without_cudnn(prepare: Prepare) -> Prepare:
    """Another library, when its user has turned off what has no second derivative on a GPU."""

    def prepared(workload: Workload, model: nn.Module, tasks: TaskBatch) -> OuterGradient:
        gradient = prepare(workload, model, tasks)

        def plainly() -> dict[str, Tensor]:
            with torch.backends.cudnn.flags(enabled=False):
                return gradient()

        return plainly

    return prepared


CORES = torch.get_num_threads()
COMPILED_PROCESSES = f"fewstep, compiled, {CORES} processes"
OWN: dict[str, Prepare] = {
    "fewstep": by_fewstep(),
    f"fewstep, {CORES} processes": by_fewstep(CORES),
    "fewstep, loop": by_fewstep(execution="loop"),
    "fewstep, flat": by_fewstep(memory="flat"),
    "fewstep, compiled": by_fewstep(compile=True),
    COMPILED_PROCESSES: by_fewstep(CORES, compile=True),
}
OWN_ON_GPU: dict[str, Prepare] = {
    "fewstep": by_fewstep(),
    "fewstep, vectorised": by_fewstep(execution="vectorised"),
    "fewstep, loop": by_fewstep(execution="loop"),
}
LESS_EXACT: dict[str, Prepare] = {
    "fewstep, tf32": by_fewstep(precision="tf32"),
    "fewstep, bf16": by_fewstep(precision="bf16"),
}
PEERS: dict[str, Prepare] = {
    "plain loop": by_plain_loop,
    "higher": by_higher,
    "TorchOpt": by_torchopt,
    "iteryne": by_iteryne,
    "parallel-metalearn": by_parallel_metalearn,
}
WITH_PLAIN_ATTENTION = {
    f"{name}, plain attention": plain_attention(prepare) for name, prepare in PEERS.items()
}

WITHOUT_CUDNN = {"plain loop, cuDNN off": without_cudnn(by_plain_loop)}


def _memory_kept(libraries: dict[str, Prepare]) -> dict[str, Prepare]:
    return {name + MEMORY_KEPT: prepare for name, prepare in libraries.items()}


LIBRARIES = (
    OWN
    | OWN_ON_GPU
    | LESS_EXACT
    | PEERS
    | WITH_PLAIN_ATTENTION
    | WITHOUT_CUDNN
    | _memory_kept(PEERS)
    | _memory_kept(WITH_PLAIN_ATTENTION)
)


def libraries_for(workload: Workload) -> list[str]:
    """Those that are worth a row on a CPU."""
    if workload.attention:
        return list(OWN | PEERS | WITH_PLAIN_ATTENTION | _memory_kept(WITH_PLAIN_ATTENTION))
    return list(OWN | PEERS | _memory_kept(PEERS))


def peers_for(workload: Workload) -> list[str]:
    """Other libraries that can compute a workload."""
    if workload.recurrent:
        return list(WITHOUT_CUDNN)
    return list(WITH_PLAIN_ATTENTION if workload.attention else PEERS)
