"""Rivals of a meta-learned initialisation, on the same support set: does meta-learning pay here?

Each of them is measured as any learner is, by its predictions for the same query examples.
"""

from collections.abc import Callable, Iterable

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

FINE_TUNING_STEPS, FINE_TUNING_LR = 10, 0.1
RIVALS = {
    "nearest_mean_features": "nearest class mean of features",
    "nearest_mean_pixels": "nearest class mean of pixels",
    "fine_tuning": f"fine-tuning, {FINE_TUNING_STEPS} steps of {FINE_TUNING_LR:g}",
}
"""Names of the rivals in words."""


def judge_of(learner: Learner, steps: int) -> Judge:
    """A learner as a judge, by the statistics of the support set.

    It raises `InputError` where the learner's loss is not finite.
    """

    def judge(tasks: TaskBatch) -> Tensor:
        found = learner.evaluate(tasks, steps, "inductive")
        if not found.losses[:, -1].isfinite().all():
            raise InputError(f"the loss is not finite after {steps} inner steps")
        return found.scores[:, -1]

    return judge


def rivals_of(learner: Learner, n_way: int) -> dict[str, Judge]:
    """The rivals of a learner, by the keys of `RIVALS`, for tasks of ``n_way`` classes.

    The features are those of its initialisation, before the last layer. Fine-tuning is ordinary
    gradient descent of the whole network from there, with a new last layer of zeros, which favours
    no class. A network without a last linear layer has neither.
    """
    network = _network(learner)
    try:
        features, tuned = ProtoNet(network), fine_tuning(network, n_way)
    except InputError:
        return {"nearest_mean_pixels": nearest_mean_of_pixels}
    return {
        "nearest_mean_features": judge_of(features, 0),
        "nearest_mean_pixels": nearest_mean_of_pixels,
        "fine_tuning": judge_of(tuned, FINE_TUNING_STEPS),
    }


def share_right(judge: Judge, tasks: Iterable[TaskBatch]) -> float | None:
    """The share of all query examples that are classified right; None where it diverges."""
    right, examples = 0, 0
    for batch in tasks:
        try:
            scores = judge(batch)
        except InputError:
            return None
        of_task = batch.query_y.shape[1]
        right += int((scores * of_task).round().sum())
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
    ways = int(tasks.support_y.max()) + 1
    shares = []
    for number in range(len(tasks)):
        x, y, query_x, query_y = tasks.task(number)
        assert isinstance(x, Tensor)
        assert isinstance(query_x, Tensor)
        means = prototypes(x.flatten(1), y, ways)
        nearest = torch.cdist(query_x.flatten(1), means).argmin(1)
        shares.append((nearest == query_y).float().mean())
    return torch.stack(shares)


def _network(learner: Learner) -> nn.Module:
    """The network with its initialisation."""
    if isinstance(learner, FineTune):
        return learner.few_shot().model
    network = getattr(learner, "model", None)
    assert isinstance(network, nn.Module)
    return network
