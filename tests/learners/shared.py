"""Assertions that hold of every learner."""

import torch

from tests.slopes import relative_error, slopes_of

WAYS = 3


def gradient_error(learner, tasks):
    """The largest deviation of the meta-gradient from measured slopes of the query loss."""
    slopes = slopes_of(
        lambda: learner.evaluate(tasks, learner.inner_steps).losses[:, -1].mean(),
        dict(learner.named_parameters()),
    )
    return relative_error(learner.meta_gradient(tasks)[1], slopes)


def assert_unchanged_by_calls(learner, tasks):
    """No call changes a parameter, a buffer, a mode or a .grad of the learner's model."""
    model = learner.model
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    learner.meta_gradient(tasks)
    evaluation = learner.evaluate(tasks, 2)
    assert not evaluation.losses.requires_grad
    learner.adapt(tasks.support_x[0], tasks.support_y[0])
    assert modes == [part.training for part in model.modules()]
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all((parameter.grad == 1).all() for parameter in model.parameters())


def assert_adapted_as_evaluated(learner, tasks, steps):
    """The module that `adapt` returns has the query loss that `evaluate` tells."""
    evaluated = learner.evaluate(tasks, steps)
    for number in range(len(tasks)):
        support = tasks.support_x[number], tasks.support_y[number]
        adapted = learner.adapt(*support, steps, learner.norm)
        with torch.no_grad():
            prediction = adapted(tasks.query_x[number])
        loss = torch.nn.functional.cross_entropy(prediction, tasks.query_y[number])
        torch.testing.assert_close(loss, evaluated.losses[number, -1])


def assert_same_gradient(one, other, tasks):
    """Two learners give the same loss and gradient."""
    (loss, gradient), (other_loss, others) = (each.meta_gradient(tasks) for each in (one, other))
    torch.testing.assert_close(loss, other_loss)
    assert gradient.keys() == others.keys()
    for name, value in gradient.items():
        torch.testing.assert_close(value, others[name])
