import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fewstep
from fewstep import TaskBatch
from tests.factory import make_tasks, mlp

SIZES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=2, max_size=4)


def with_norm():
    return mlp(nn.Sequential(nn.BatchNorm1d(6), nn.Tanh()))


LEARNERS = {
    "loop": lambda: fewstep.MAML(with_norm(), 0.1, 2, execution="loop"),
    "vectorised": lambda: fewstep.MAML(with_norm(), 0.1, 2, execution="vectorised"),
    "chunked": lambda: fewstep.MAML(mlp(), 0.1, 2, execution="chunked"),
    "flat": lambda: fewstep.MAML(with_norm(), 0.1, 2, memory="flat", norm="inductive"),
    "maml++": lambda: fewstep.MAML(
        with_norm(), 0.1, 2, per_step_statistics=True, step_sizes="per-step", multi_step_loss=9
    ),
    "own loss": lambda: fewstep.MAML(mlp(), 0.1, loss=lambda p, y: F.cross_entropy(p, y) ** 2),
    "protomaml": lambda: fewstep.ProtoMAML(with_norm(), 0.1),
    "reptile": lambda: fewstep.Reptile(mlp(), 0.1, 2),
    "imaml": lambda: fewstep.ImplicitMAML(mlp(), 0.1, 2),
}


@pytest.mark.parametrize("name", LEARNERS)
@settings(max_examples=4, deadline=None)
@given(sizes=SIZES)
def test_uneven_tasks_are_what_they_are_alone(name, sizes):
    rows = [make_tasks(1, *of, seed=n).task(0) for n, of in enumerate(sizes)]
    tasks, alone = TaskBatch.stack(rows), [TaskBatch.stack([row]) for row in rows]
    learner = LEARNERS[name]()
    loss, gradient = learner.meta_gradient(tasks)
    each = [learner.meta_gradient(task) for task in alone]
    expected = torch.stack([of for of, _ in each]).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    for parameter, value in gradient.items():
        mean = torch.stack([of[parameter] for _, of in each]).mean(0)
        torch.testing.assert_close(value, mean, rtol=1e-10, atol=1e-12)
    found, single = learner.evaluate(tasks, 1), [learner.evaluate(task, 1) for task in alone]
    torch.testing.assert_close(found.losses, torch.cat([of.losses for of in single]))
    torch.testing.assert_close(found.scores, torch.cat([of.scores for of in single]))


def test_padding_changes_nothing():
    rows = [make_tasks(1, shots, 2, seed=shots).task(0) for shots in (1, 3)]
    tasks = TaskBatch.stack(rows)
    learner = LEARNERS["loop"]()
    before = learner.meta_gradient(tasks)
    tasks.support_x[0, 3:] = torch.nan
    after = learner.meta_gradient(tasks)
    assert torch.equal(before[0], after[0])
    assert all(torch.equal(before[1][name], value) for name, value in after[1].items())


def test_fine_tuning_trains_on_no_padding():
    rows = [make_tasks(1, shots, 2, seed=shots).task(0) for shots in (1, 3)]
    classes = torch.tensor([[0, 1, 2], [3, 4, 5]])
    tasks = TaskBatch.stack(rows)
    tasks = TaskBatch(
        *(getattr(tasks, n) for n in ("support_x", "support_y", "query_x", "query_y")),
        classes,
        tasks.support_sizes,
    )
    learner = fewstep.FineTune(mlp(), classes=6)
    before = learner.meta_gradient(tasks)
    assert before[0].isfinite()
    tasks.support_x[0, 3:] = torch.nan
    assert torch.equal(learner.meta_gradient(tasks)[0], before[0])


def test_fit_and_evaluate_take_uneven_tasks():
    rows = [
        make_tasks(1, *of, seed=n, dtype=torch.float32).task(0)
        for n, of in enumerate([(1, 2), (3, 1)] * 4)
    ]
    learner = fewstep.MAML(mlp(dtype=torch.float32), 0.1)
    fewstep.fit(learner, rows, validation=rows, steps=2, meta_batch=4)
    assert fewstep.evaluate(learner, rows).tasks == 8
