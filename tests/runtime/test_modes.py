"""Precision, where it was asked for and nowhere else; threads take turns."""

import threading

import torch

from fewstep import MAML, TaskBatch
from tests.factory import cnn


def test_four_threads_get_what_one_gets():
    learner = MAML(cnn(dtype=torch.float64), 0.4, 2)
    x = torch.randn(2, 6, 1, 4, 4, dtype=torch.float64)
    y = torch.arange(3).repeat(2, 2)
    tasks = TaskBatch(x, y, x, y)
    parameters = list(learner.model.parameters())
    values = [p.detach().clone() for p in parameters]
    expected, found = learner.meta_gradient(tasks)[1], []

    def work():
        for _ in range(10):
            found.append(learner.meta_gradient(tasks)[1])
            learner.evaluate(tasks, 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(torch.equal(one[n], expected[n]) for one in found for n in expected)
    assert all(a is b for a, b in zip(parameters, learner.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(parameters, values, strict=True))
