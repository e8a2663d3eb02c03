"""Fine-tuning: what suits validation tasks is chosen."""

import torch
from torch import nn

from fewstep import FineTune, TaskBatch
from fewstep.evaluation.rivals.tuned import STEP_SIZES, STEPS, choose_tuning


def lines(spread, noise, number=20, rows=4):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(number, rows + 10, 1, generator=generator)
    slopes = spread * torch.randn(number, 1, 1, generator=generator)
    y = slopes * x + noise * torch.randn(x.shape, generator=generator)
    return TaskBatch(x[:, :rows], y[:, :rows], x[:, rows:], y[:, rows:])


def chosen(tasks):
    network = nn.Linear(1, 1)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    pooled = FineTune(network, loss="mse", inner_lr=7.0)
    found = choose_tuning(
        pooled, [tasks[:10], tasks[10:]], [*map(str, range(20))], of_classes=False
    )
    assert (pooled.inner_lr, found.wide) == (7.0, network)
    return found, tasks


def test_tasks_that_differ_are_followed_and_noise_is_not():
    (far, tasks), (near, _) = chosen(lines(2.0, 0.1)), chosen(lines(0.0, 2.0))
    assert far.inner_lr * far.inner_steps > 1 > 0.1 > near.inner_lr * near.inner_steps
    assert {far.inner_lr, near.inner_lr} <= {*STEP_SIZES}
    assert {far.inner_steps, near.inner_steps} <= {*STEPS}
    losses = far.evaluate(tasks).losses.mean(0)
    assert losses[-1] < 0.1 * losses[0]


def test_a_step_size_that_diverges_is_not_chosen():
    tasks = lines(2.0, 0.1)
    large = TaskBatch(100 * tasks.support_x, 100 * tasks.support_y, tasks.query_x, tasks.query_y)
    assert chosen(large)[0].evaluate(large).losses.isfinite().all()
