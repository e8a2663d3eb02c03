"""An operation's value, gradient and second derivative beside those of PyTorch's own."""

import torch
from torch.func import vmap

from fewstep.functional.call import PureModel

TASKS = 3


def call_plain(model, params, x):
    return PureModel(model)(params, x)


def call_fused(model, params, x):
    pure = PureModel(model)
    with pure.having(params, fused=True):
        return pure.predict(x)


def random_tensor(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def derivatives(function, arguments):
    """Value, gradient, and the gradient of its product with a random vector."""
    value = function(*arguments)
    gradient = torch.autograd.grad(value, arguments, create_graph=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(5)
    product = sum(
        (g * torch.randn(g.shape, generator=generator, dtype=g.dtype)).sum() for g in gradient
    )
    return value, *gradient, *torch.autograd.grad(product, arguments, materialize_grads=True)


def assert_same_derivatives(function, reference, arguments):
    """Of one task after another, and of all at once, ``arguments`` having the tasks in front."""

    def one_by_one(chosen):
        return lambda *stacked: sum(chosen(*(t[i] for t in stacked)) for i in range(TASKS))

    expected = derivatives(one_by_one(reference), arguments)
    for way in (one_by_one(function), lambda *stacked: vmap(function)(*stacked).sum()):
        for found, wanted in zip(derivatives(way, arguments), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)


def operations(value):
    """Names of the nodes in the graph of a value."""
    found, nodes = set(), [value.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in found:
            found.add(node)
            nodes += [before for before, _ in node.next_functions]
    return {node.name() for node in found}
