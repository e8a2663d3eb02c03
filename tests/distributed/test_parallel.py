"""Tasks shared out among processes."""

import multiprocessing
import os
import signal
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, Parallel, TaskBatch
from fewstep.runtime.rng import first_task
from tests.factory import make_tasks


def _learner(*middle, **settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), *middle, nn.Tanh(), nn.Linear(6, 3)).double()
    return MAML(model, 0.3, 2, **settings)


def _assert_same(parallel, learner, tasks):
    torch.manual_seed(1)
    found = parallel.differentiate(tasks)
    torch.manual_seed(1)
    expected = learner.differentiate(tasks)
    torch.testing.assert_close(found.query, expected.query, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("workers", "number"), [(1, 3), (2, 1), (2, 5), (3, 4), (5, 3)])
def test_the_number_of_processes_changes_nothing(workers, number):
    learner = _learner(nn.BatchNorm1d(6))
    parallel = Parallel(learner, workers)
    for _ in range(2):
        _assert_same(parallel, learner, make_tasks(number))
    found, expected = (each.evaluate(make_tasks(number), 3) for each in (parallel, learner))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    threads = torch.get_num_threads()
    parallel.meta_gradient(make_tasks(number))
    assert torch.get_num_threads() == threads


def test_what_random_layers_draw_does_not_depend_on_the_process():
    learner = _learner(nn.Dropout(0.5))
    _assert_same(Parallel(learner, 3), learner, make_tasks(4))


def test_tasks_of_different_sizes_are_shared_out():
    sizes = [(1, 2), (3, 1), (2, 2), (4, 1), (1, 1), (2, 3), (3, 3)]
    tasks = TaskBatch.stack([make_tasks(1, *of, seed=n).task(0) for n, of in enumerate(sizes)])
    learner, alone = _learner(execution="chunked"), _learner(execution="loop")
    _assert_same(Parallel(learner, 2), alone, tasks)
    found, expected = (each.evaluate(tasks, 2) for each in (Parallel(learner, 2), alone))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_changed_parameters_and_modes_are_seen():
    learner = _learner(nn.BatchNorm1d(6))
    parallel = Parallel(learner, 2)
    parallel.meta_gradient(make_tasks(4))
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 0.1
    learner.model[1].running_mean.fill_(0.3)
    learner.model[1].eval()
    _assert_same(parallel, learner, make_tasks(4))


def test_a_mistake_in_a_later_task_is_told_as_ever():
    tasks = make_tasks(4)
    tasks.support_y[:] = 7
    with pytest.raises(InputError, match="labels run from 7 to 7, but the model predicts 3"):
        Parallel(_learner(), 2).meta_gradient(tasks)


def _fails_in_worker(prediction, target):
    if os.getpid() != _HERE:
        raise KeyError("nothing of that name")
    return F.cross_entropy(prediction, target)


def _dies_in_worker(prediction, target):
    if os.getpid() != _HERE:
        os.kill(os.getpid(), signal.SIGKILL)
    return F.cross_entropy(prediction, target)


class _OddError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{text} ({code})")


def _odd_in_worker(prediction, target):
    if os.getpid() != _HERE:
        raise _OddError(3, "out of order")
    return F.cross_entropy(prediction, target)


def _interrupted_here(prediction, target):
    if os.getpid() == _HERE:
        raise KeyboardInterrupt
    return F.cross_entropy(prediction, target)


_HERE = os.getpid()


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        (_fails_in_worker, KeyError),
        (_odd_in_worker, _OddError),
        (_dies_in_worker, InputError),
        (_interrupted_here, KeyboardInterrupt),
    ],
)
def test_after_an_error_of_one_process_the_next_call_is_right(loss, error):
    parallel = Parallel(_learner(loss=loss), 2)
    with pytest.raises(error):
        parallel.meta_gradient(make_tasks(4))
    parallel.learner = _learner()
    _assert_same(parallel, _learner(), make_tasks(4))


def test_large_unread_answers_do_not_block_the_next_call():
    """Both the answer and the next job are larger than a pipe holds."""
    wide = nn.Sequential(nn.Linear(4, 40_000), nn.Tanh(), nn.Linear(40_000, 3)).double()
    parallel = Parallel(MAML(wide, 0.1, loss=_interrupted_here), 2)
    with pytest.raises(KeyboardInterrupt):
        parallel.meta_gradient(make_tasks(2))
    parallel.learner = MAML(wide, 0.1)
    _assert_same(parallel, parallel.learner, make_tasks(2))


def test_what_cannot_be_sent_says_so():
    learner = _learner(loss=lambda prediction, target: F.cross_entropy(prediction, target))
    with pytest.raises(InputError, match=r"cannot be sent .*at the top of a module"):
        Parallel(learner, 2).meta_gradient(make_tasks(4))


def test_a_model_with_parametrizations_says_so():
    model = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 3)).double())
    with pytest.raises(InputError, match=r"cannot be sent .* workers=1$"):
        Parallel(MAML(model, 0.1), 2).meta_gradient(make_tasks(2))


def test_what_was_defined_since_is_known_to_the_next_call():
    parallel = Parallel(_learner(), 2)
    parallel.meta_gradient(make_tasks(4))
    exec("def _late(*pair): return F.cross_entropy(*pair)", globals())
    parallel.learner = _learner(loss=_late)  # noqa: F821
    with pytest.raises(InputError, match=r"cannot be read there .*_late.* workers=1$"):
        parallel.meta_gradient(make_tasks(4))
    _assert_same(parallel, parallel.learner, make_tasks(4))


def _names_its_first_task(prediction, target):
    if first_task():
        raise InputError(f"task {first_task()} is odd")
    return F.cross_entropy(prediction, target)


def test_a_worker_knows_its_tasks_by_their_numbers():
    learner = _learner(loss=_names_its_first_task)
    with pytest.raises(InputError, match="task 2 is odd"):
        Parallel(learner, 2).meta_gradient(make_tasks(5))
    assert first_task() == 0
    learner.meta_gradient(make_tasks(5))


def test_what_is_set_around_a_call_is_set_in_workers():
    """And is no more afterwards, though the processes were started inside."""
    learner, tasks = _learner(), make_tasks(2)
    learner.model.float()
    tasks = replace(tasks, support_x=tasks.support_x.float(), query_x=tasks.query_x.float())
    plain = learner.meta_gradient(tasks)[0]
    parallel = Parallel(learner, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert parallel.meta_gradient(tasks)[0] == learner.meta_gradient(tasks)[0] != plain
    assert parallel.meta_gradient(tasks)[0] == plain
    with torch.autocast("cpu", torch.bfloat16):
        assert parallel.meta_gradient(tasks)[0] != plain


def test_a_process_that_was_killed_is_noticed():
    parallel = Parallel(_learner(), 2)
    parallel.meta_gradient(make_tasks(4))
    os.kill(max(child.pid for child in multiprocessing.active_children()), signal.SIGKILL)
    with pytest.raises(InputError, match=r"a worker process ended .*use fewer workers"):
        parallel.meta_gradient(make_tasks(4))
    _assert_same(parallel, _learner(), make_tasks(4))


def test_tasks_elsewhere():
    tasks = make_tasks(2).to("meta")
    with pytest.raises(InputError, match="the tasks are on meta; workers are for the CPU"):
        Parallel(_learner(), 2).meta_gradient(tasks)
