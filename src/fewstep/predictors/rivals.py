"""Rivals of a meta-learned initialisation, on the same support set: does meta-learning pay here?

Each is a way to label query examples by the support set alone.
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
from fewstep.predictors.inputs import ExampleForm
from fewstep.predictors.outputs import outputs
from fewstep.predictors.trials import Trial
from fewstep.runtime.rng import preserve_rng_state

Method = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of a support set ``x``, ``y`` and query examples: the label of each of these, ``[examples]``."""

# Fewer steps than these leave it behind on validation tasks of glyphs, and more gain nothing.
FINE_TUNING_STEPS, FINE_TUNING_LR = 30, 0.1
RIVALS = {
    "nearest_mean_features": "nearest class mean of features",
    "nearest_mean_pixels": "nearest class mean of pixels",
    "fine_tuning": f"fine-tuning, {FINE_TUNING_STEPS} steps of {FINE_TUNING_LR:g}",
}
"""Names of the rivals in words."""


def method_of(learner: Learner, steps: int) -> Method:
    """A learner as a method, by the statistics of the support set."""

    def predict(x: Tensor, y: Tensor, query_x: Tensor) -> Tensor:
        module = learner.adapt(x, y, steps, "inductive")
        return outputs(module, ExampleForm(dtype=x.dtype), query_x).argmax(1)

    return predict


def rivals_of(learner: Learner, n_way: int) -> dict[str, Method]:
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
        "nearest_mean_features": method_of(features, 0),
        "nearest_mean_pixels": nearest_mean_of_pixels,
        "fine_tuning": method_of(tuned, FINE_TUNING_STEPS),
    }


def count_right(method: Method, trials: Iterable[Trial]) -> int | None:
    """How many query examples get the right label; None where a loss is not finite."""
    right = 0
    for x, y, query_x, query_y in trials:
        try:
            found = method(x, y, query_x)
        except InputError:
            return None
        right += int((found.cpu() == query_y.cpu()).sum())
    return right


def fine_tuning(network: nn.Module, n_way: int) -> MAML:
    """Gradient descent of the whole network, whose new last layer is zeros."""
    head = last_linear(network)
    with preserve_rng_state():
        layer = new_linear(network, head, n_way)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return MAML(with_layer(network, head, layer), FINE_TUNING_LR, FINE_TUNING_STEPS)


def nearest_mean_of_pixels(x: Tensor, y: Tensor, query_x: Tensor) -> Tensor:
    """The class whose mean of the plain pixels is nearest; no network."""
    means = prototypes(x.flatten(1), y, int(y.max()) + 1)
    return torch.cdist(query_x.flatten(1), means).argmin(1)


def _network(learner: Learner) -> nn.Module:
    """The network with its initialisation."""
    if isinstance(learner, FineTune):
        return learner.few_shot().model
    network = getattr(learner, "model", None)
    assert isinstance(network, nn.Module)
    return network
