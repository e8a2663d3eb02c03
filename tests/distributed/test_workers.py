"""The processes of a `Parallel`: when there are any, how many, and what becomes of them."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError, Parallel
from fewstep.cli import main
from tests.factory import make_tasks

TASKS = make_tasks(4, 1, 1, (5,), dtype=torch.float32)


def _parallel(workers):
    return Parallel(MAML(nn.Linear(5, 3), 0.1), workers)


def _children(process="self"):
    """The numbers of all, those that ended and were not waited for among them."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return {int(number) for each in lists for number in each.read_text().split()}


def _files():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def before():
    """The processes that other tests left to the garbage."""
    gc.collect()
    return _children()


def _assert_right(parallel):
    expected = parallel.learner.meta_gradient(TASKS)
    torch.testing.assert_close(parallel.meta_gradient(TASKS), expected)


def test_processes_are_started_for_tasks_that_are_there(before):
    parallel = _parallel(5)
    assert _children() == before
    for number, processes in ((1, 0), (2, 1), (4, 3), (3, 3)):
        parallel.meta_gradient(TASKS[:number])
        assert len(_children() - before) == processes


def test_a_dropped_parallel_ends_its_processes(before):
    parallel = _parallel(3)
    parallel.meta_gradient(TASKS)
    assert len(_children() - before) == 2
    del parallel
    assert _children() == before


def _fails_elsewhere(prediction, target):
    if os.getpid() != _HERE:
        raise KeyError("nothing")
    return nn.functional.cross_entropy(prediction, target)


_HERE = os.getpid()


def test_dropped_after_an_error_it_leaves_nothing(before):
    def call():
        Parallel(MAML(nn.Linear(5, 3), loss=_fails_elsewhere), 2).meta_gradient(TASKS)

    gc.disable()
    try:
        with pytest.raises(KeyError, match="nothing"):
            call()
        assert _children() == before
    finally:
        gc.enable()


def test_nothing_leaks_from_many(before):
    _parallel(3).meta_gradient(TASKS)
    files = _files()
    for _ in range(20):
        _parallel(3).meta_gradient(TASKS)
    assert (_files(), _children()) == (files, before)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_a_copy_has_processes_of_its_own(before, copied):
    original = _parallel(2)
    original.meta_gradient(TASKS)
    files, first = _files(), _children()
    other = copied(original)
    assert _children() == first
    _assert_right(other)
    assert len(_children() - before) == 2
    del other
    assert (_files(), _children()) == (files, first)
    _assert_right(original)


def test_a_deep_copy_learns_apart():
    original = _parallel(2)
    other = copy.deepcopy(original)
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert next(original.parameters()).any()
    _assert_right(other)


def test_threads_take_turns():
    parallel = _parallel(3)
    found = []
    expected = [parallel.learner.meta_gradient(TASKS[:number])[0] for number in (2, 3, 4)]

    def call():
        found.append([parallel.meta_gradient(TASKS[:number])[0] for number in (2, 3, 4)])

    threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 4
    for each in found:
        torch.testing.assert_close(each, expected)


def _calls_itself(prediction, target):
    PARALLEL.meta_gradient(TASKS)


PARALLEL = Parallel(MAML(nn.Linear(5, 3), loss=_calls_itself), 2)


def test_a_call_within_a_call_is_refused():
    with pytest.raises(InputError, match=r"called from within its own call.*use the learner"):
        PARALLEL.meta_gradient(TASKS)


def _makes_its_own(prediction, target):
    if os.getpid() != _HERE:
        _parallel(2).meta_gradient(TASKS)
    return nn.functional.cross_entropy(prediction, target)


def test_a_worker_can_have_no_workers():
    with pytest.raises(InputError, match=r"cannot be started .*use fewer workers"):
        Parallel(MAML(nn.Linear(5, 3), loss=_makes_its_own), 2).meta_gradient(TASKS)


def test_no_process_to_be_had(monkeypatch, before):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    parallel = _parallel(2)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fork", refuse)
        with pytest.raises(InputError, match=r"cannot be started .*temporarily unavailable"):
            parallel.meta_gradient(TASKS)
    assert _children() == before
    _assert_right(parallel)


@pytest.mark.parametrize("workers", [0, -1, 100_000, 2.5, "2"])
def test_workers_out_of_range(workers):
    with pytest.raises(InputError, match=rf"^workers is {workers!r}; expected 1 to \d+ on this"):
        _parallel(workers)


def test_too_many_workers_on_the_command_line(tmp_path, capsys):
    arguments = ["train", "sinusoid", "--workers", "1000", "--run-dir", str(tmp_path / "run")]
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "workers is 1000; expected 1 to" in error
    assert not (tmp_path / "run").exists()


_SCRIPT = """
import gc, multiprocessing, os, signal, sys, time, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs behind a shell ignores it
torch.set_num_threads(1)  # a process that is forked cannot use those of OpenMP
from fewstep import MAML, Parallel, TaskBatch
class Mine(torch.nn.Linear):
    pass
x, y = torch.randn(4, 3, 5), torch.zeros(4, 3, dtype=torch.long)
tasks = TaskBatch(x, y, x, y)
parallel = Parallel(MAML(Mine(5, 3)), 3)
parallel.meta_gradient(tasks)
"""

_WAITS = 'print("ready", flush=True); time.sleep(60)'

_FORKS = """
def right():
    torch.testing.assert_close(parallel.meta_gradient(tasks), parallel.learner.meta_gradient(tasks))

def drops():
    global parallel
    del parallel
    gc.collect()

def forked(work):
    child = os.fork()
    if not child:
        work()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0, work
    right()

before = {p.pid for p in multiprocessing.active_children()}
for work in (right, drops, lambda: None):
    forked(work)
process = multiprocessing.get_context("fork").Process(target=right)
process.start()
process.join()
assert process.exitcode == 0
right()
assert {p.pid for p in multiprocessing.active_children()} == before
print("ready", flush=True)
sys.stdin.read()
raise KeyError("the end")
"""


def _start(rest):
    """Run by a script without a main guard, whose classes the others have to know."""
    script = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT + rest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert script.stdout.readline() == "ready\n", script.communicate()[1]
    children = _children(script.pid)
    assert len(children) == 2
    return script, children


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_the_first(kind):
    script, children = _start(_WAITS)
    os.killpg(script.pid, signal.SIGINT) if kind == signal.SIGINT else script.send_signal(kind)
    script.communicate()
    end = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_forks_of_the_program_leave_its_processes_alone():
    """And after an exception at its end there are none."""
    script, children = _start(_FORKS)
    errors = script.communicate()[1]
    assert errors.count("Traceback") == 1
    assert "KeyError: 'the end'" in errors
    assert not any(os.path.exists(f"/proc/{child}") for child in children)
