"""Inner optimisers of a user: pairs of pure functions (init, update)."""

import torch


def _zeros(params):
    return {name: torch.zeros_like(value) for name, value in params.items()}


def _rmsprop(gradients, squares, step):
    assert step >= 0
    squares = {n: 0.9 * squares[n] + 0.1 * g.square() for n, g in gradients.items()}
    return {n: g / (squares[n] + 1e-6).sqrt() for n, g in gradients.items()}, squares


def _nesterov(gradients, velocity, _):
    velocity = {n: 0.9 * velocity[n] + g for n, g in gradients.items()}
    return {n: g + 0.9 * velocity[n] for n, g in gradients.items()}, velocity


def _device(params):
    return next(iter(params.values())).device


def _once(params):
    return {"norms": [torch.zeros((), device=_device(params))]}


def _clipped(gradients, slots, _):
    """By the length of all gradients of the task together, of which a mean is kept."""
    length = sum(g.square().sum() for g in gradients.values()).sqrt()
    norm = slots["norms"][0] * 0.5 + length
    return {n: g / (1 + norm) for n, g in gradients.items()}, {"norms": [norm]}


def _share(params):
    start = {name: 0.3 * value.tanh() for name, value in params.items()}
    return start, torch.ones(1, device=_device(params))


def _fading(gradients, slots, _):
    """Adds the remainder of the start to each gradient."""
    start, kept = slots
    return {n: g + kept * start[n] for n, g in gradients.items()}, (start, kept * 0.5)


def _kept_in_place(gradients, velocity, step):
    """The dict that it is given gets other tensors."""
    assert step >= 0
    for name, gradient in gradients.items():
        velocity[name] = 0.9 * velocity[name] + gradient
    return dict(velocity), velocity


RMSPROP = (_zeros, _rmsprop)
NESTEROV = (_zeros, _nesterov)
KEPT_IN_PLACE = (_zeros, _kept_in_place)
CLIPPED = (_once, _clipped)
"""No number is treated alone, so tasks that are computed at once must not mix."""
FROM_START = (_share, _fading)
"""The first slots depend on the initialisation."""
