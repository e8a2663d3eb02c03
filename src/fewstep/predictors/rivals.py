"""Rivals of a meta-learned initialisation, on the same support set: does meta-learning pay here?

Each of them is a learner like any other, so they are measured in the same way.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.heads import last_linear, new_linear, with_layer
from fewstep.learners.maml import MAML
from fewstep.learners.protomaml import prototypes
from fewstep.learners.protonet import ProtoNet
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch

Judge = Callable[[TaskBatch], Tensor]
"""Tells of each task, ``[tasks]``, which share of its query set is classified right."""

ADAPTED = "this model"
OF_FEATURES, OF_PIXELS = "nearest class mean, features", "nearest class mean, pixels"
FINE_TUNING = "fine-tuning"
FINE_TUNING_STEPS, FINE_TUNING_LR = 10, 0.1
QUERY_AT_ONCE = 250


def judges(learner: Learner, n_way: int, steps: int) -> dict[str, Judge]:
    """The learner and its rivals by name, each for tasks of ``n_way`` classes.

    The features are those of the initialisation, before its last layer. Fine-tuning is ordinary
    gradient descent of the whole network with a new last layer of zeros, which favours no class.
    """
    network = _network(learner)
    found: dict[str, Judge] = {ADAPTED: _of_learner(learner, steps)}
    # A network without a last linear layer has neither features nor a layer to replace.
    try:
        found[OF_FEATURES] = _of_learner(ProtoNet(network), 0)
        found[FINE_TUNING] = _of_learner(fine_tuning(network, n_way), FINE_TUNING_STEPS)
    except InputError:
        pass
    return {**found, OF_PIXELS: nearest_mean_of_pixels}


def query_parts(x: Tensor, y: Tensor, query_x: Tensor, query_y: Tensor) -> Iterator[TaskBatch]:
    """One task with its query set in parts that memory has room for, whole classes or not."""
    for start in range(0, len(query_y), QUERY_AT_ONCE):
        part = slice(start, start + QUERY_AT_ONCE)
        yield TaskBatch(x[None], y[None], query_x[None, part], query_y[None, part])


def share_right(judge: Judge, tasks: Iterator[TaskBatch]) -> float | None:
    """The share of all query examples that are classified right; None where it diverges."""
    right = examples = 0.0
    for batch in tasks:
        try:
            scores = judge(batch)
        except InputError:
            return None
        right += float(scores.double().sum()) * batch.query_y.shape[1]
        examples += batch.query_y.numel()
    return right / examples


def fine_tuning(network: nn.Module, n_way: int) -> MAML:
    """Gradient descent of the whole network, whose new last layer is zeros."""
    head = last_linear(network)
    with preserve_rng_state(torch.device("cpu")):
        layer = new_linear(network, head, n_way)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return MAML(with_layer(network, head, layer), FINE_TUNING_LR, FINE_TUNING_STEPS)


def nearest_mean_of_pixels(tasks: TaskBatch) -> Tensor:
    """Classify by the nearest mean of the plain pixels; no network."""
    assert isinstance(tasks.support_x, Tensor)
    assert isinstance(tasks.query_x, Tensor)
    ways = int(tasks.support_y.max()) + 1
    rows = []
    for x, y, asked, truth in zip(
        tasks.support_x, tasks.support_y, tasks.query_x, tasks.query_y, strict=True
    ):
        nearest = torch.cdist(asked.flatten(1), prototypes(x.flatten(1), y, ways)).argmin(1)
        rows.append((nearest == truth).float().mean())
    return torch.stack(rows)


def _of_learner(learner: Learner, steps: int) -> Judge:
    def judge(tasks: TaskBatch) -> Tensor:
        found = learner.evaluate(tasks, steps, "inductive")
        if not found.losses[:, -1].isfinite().all():
            raise InputError(f"the loss is not finite after {steps} inner steps")
        return found.scores[:, -1]

    return judge


def _network(learner: Learner) -> nn.Module:
    if isinstance(learner, FineTune):
        return learner.few_shot().model
    network = getattr(learner, "model", None)
    assert isinstance(network, nn.Module)
    return network
