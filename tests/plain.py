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
    losses = []
    for number in range(len(tasks)):
        support_x, support_y, query_x, query_y = tasks.task(number)
        params = start
        for _ in range(steps):
            value = loss(call(params, support_x), support_y, params)
            gradients = torch.autograd.grad(
                value, list(params.values()), create_graph=True, materialize_grads=True
            )
            pairs = zip(params.items(), gradients, strict=True)
            params = {name: value - lr * gradient for (name, value), gradient in pairs}
        losses.append(loss(call(params, query_x), query_y, params))
    mean = torch.stack(losses).mean()
    gradients = torch.autograd.grad(mean, list(start.values()), materialize_grads=True)
    return mean.detach(), dict(zip(start, gradients, strict=True))


def cross_entropy(prediction, target, _params):
    """Cross-entropy that does not look at the parameters."""
    return F.cross_entropy(prediction, target)


def deviation(found, expected):
    """The distance between two gradients, relative to the length of the second, by order."""
    pairs = list(zip(found.values(), expected.values(), strict=True))
    difference = sum(float((one - other).abs().square().sum()) for one, other in pairs)
    return (difference / sum(float(other.abs().square().sum()) for _, other in pairs)) ** 0.5
