"""`torch.compile` of a learner, or of what calls one: the same numbers, and no trace of it."""

import pytest
import torch

from tests.learners.every import every_learner, seeded, tasks


def of_every_method(learner):
    batch = tasks()
    loss, gradient = learner.meta_gradient(batch)
    adapted = learner.adapt(batch.support_x[0], batch.support_y[0])
    judged = learner.query_losses(batch), learner.evaluate(batch, 1).losses
    judged += (learner.differentiate(batch).query.losses,)
    return [loss, *gradient.values(), adapted(batch.query_x[0]), *judged, learner(batch)]


# PyTorch looks at it itself where a tensor with a graph goes from one traced part to the next.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@every_learner
def test_what_calls_a_learner_may_be_compiled(make):
    torch.compiler.reset()
    learner, plain = make(), make()
    compiled = torch.compile(of_every_method, backend="eager")
    found, expected = seeded(compiled, learner), seeded(of_every_method, plain)
    for values in (found, expected):
        values.pop().backward()
    torch.testing.assert_close(found, expected)
    gradients = [[p.grad for p in one.parameters()] for one in (learner, plain)]
    torch.testing.assert_close(*gradients)
