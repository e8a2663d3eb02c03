"""The meta-gradient of a plain loop in PyTorch alone: nothing here is the library's."""

import torch
import torch.nn.functional as F
from torch.func import functional_call


def plain_meta_gradient(model, tasks, lr, steps, loss=None, call=None):
    """The mean query loss and its gradient by parameter name.

    ``call(params, x)`` is the prediction; that of ``functional_call`` unless given. ``loss`` takes
    (prediction, target, parameters); cross-entropy unless given.
    """

    def predict(params, x):
        buffers = {name: b.clone() for name, b in model.named_buffers()}
        return functional_call(model, {**buffers, **params}, (x,))

    call, loss = call or predict, loss or cross_entropy
    start = {name: p for name, p in model.named_parameters() if p.requires_grad}
    losses = adapted_losses(
        start, tasks, lr, steps, lambda params, x, y: loss(call(params, x), y, params)
    )
    return losses.mean().detach(), gradient_of(losses.mean(), start)


def adapted_losses(start, tasks, lr, steps, loss, *, exact=True, on="query"):
    """The loss of each task after gradient descent on its support set.

    Args:
        start: Parameters by name.
        tasks: A batch of tasks.
        lr: Step size.
        steps: How many.
        loss: A function of (parameters, inputs, targets).
        exact: Whether the losses can be differentiated through the steps.
        on: Whether the losses are of the ``query`` or of the ``support`` set.
    """
    losses = []
    for number in range(len(tasks)):
        support_x, support_y, query_x, query_y = tasks.task(number)
        params = start
        for _ in range(steps):
            value = loss(params, support_x, support_y)
            gradients = torch.autograd.grad(
                value, list(params.values()), create_graph=exact, materialize_grads=True
            )
            pairs = zip(params.items(), gradients, strict=True)
            params = {name: value - lr * gradient for (name, value), gradient in pairs}
        x, y = (query_x, query_y) if on == "query" else (support_x, support_y)
        losses.append(loss(params, x, y))
    return torch.stack(losses)


def gradient_of(loss, parameters):
    """The gradient of a loss by parameter name."""
    gradients = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
    return dict(zip(parameters, gradients, strict=True))


def cross_entropy(prediction, target, _params):
    """Cross-entropy that does not look at the parameters."""
    return F.cross_entropy(prediction, target)


def deviation(found, expected):
    """The distance between two gradients, relative to the length of the second, by order."""
    pairs = list(zip(found.values(), expected.values(), strict=True))
    difference = sum(float((one - other).abs().square().sum()) for one, other in pairs)
    return (difference / sum(float(other.abs().square().sum()) for _, other in pairs)) ** 0.5
