"""A run directory belongs to one process at a time, and to nobody once that has ended."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import threading
from functools import partial

import pytest

from fewstep import InputError
from fewstep.files import write_whole
from fewstep.runtime.locks import NoLocksError
from fewstep.training.lock import locked, trainer
from tests.processes import end, finish, start, until
from tests.training.shared import lines

RUN = [
    *("train", "sinusoid", "--steps", "200", "--val-every", "100", "--val-tasks", "2"),
    *("--test-tasks", "2", "--meta-batch", "2", "--checkpoint-every", "20"),
]


def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path):
    run = tmp_path / "run"
    command = [*RUN, "--run-dir", run]
    first = start(command, tmp_path / "first")
    until((run / "last.safetensors").exists, first)
    # Or else it might end before the second one looks.
    os.kill(first.pid, signal.SIGSTOP)
    status, said = finish(command, tmp_path / "second")
    assert first.is_alive()
    os.kill(first.pid, signal.SIGCONT)
    assert status == 2, said
    owner = f"{run} is in use by process {first.pid} on {socket.gethostname()}; wait until"
    assert owner in said
    assert "Traceback" not in said
    status, said = end(first, tmp_path / "first")
    assert status == 0, said
    assert [line["step"] for line in lines(run) if "train/loss" in line] == list(range(1, 201))
    assert not (run / ".lock").exists()


def _hold_and_fork(path, ready):
    """A run with a worker process that outlives it."""
    with locked(path):
        worker = os.fork()
        if worker == 0:
            signal.pause()
        write_whole(ready, lambda part: part.write_text(str(worker)))
        signal.pause()


def test_a_killed_owner_frees_it_though_its_worker_lives(tmp_path):
    ready = tmp_path / "ready"
    prepare = partial(_hold_and_fork, tmp_path / "run", ready)
    process = start([], tmp_path / "out", prepare)
    until(ready.exists, process)
    worker = int(ready.read_text())
    try:
        with (
            pytest.raises(InputError, match=f"in use by process {process.pid}"),
            locked(tmp_path / "run"),
        ):
            pass
        process.kill()
        process.join()
        os.kill(worker, 0)  # It lives.
        with locked(tmp_path / "run"):
            assert str(os.getpid()) in (tmp_path / "run" / ".lock").read_text()
        assert list((tmp_path / "run").iterdir()) == []
    finally:
        # It would keep the server of processes alive, too.
        os.kill(worker, signal.SIGKILL)


def test_another_thread_is_refused(tmp_path):
    told = []

    def second():
        with pytest.raises(InputError) as error, locked(tmp_path):
            pass
        told.append(str(error.value))

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "in use by process" in told[0]


def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog):
    def none(_):
        raise NoLocksError

    monkeypatch.setattr("fewstep.runtime.locks._lock", none)
    with caplog.at_level(logging.INFO, "fewstep"), locked(tmp_path / "run"):
        pass
    assert "cannot be locked: see that no other process trains there" in caplog.text


def test_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match="file exists and is no run dir"),
        locked(tmp_path / "file"),
    ):
        pass
    with pytest.raises(InputError, match="cannot write"), locked(tmp_path / "file" / "run"):
        pass


def test_a_directory_that_was_removed_and_taken_again(tmp_path):
    """The first owner, on its way out, leaves the second one's lock."""
    run = tmp_path / "run"
    with contextlib.ExitStack() as second:
        with locked(run):
            shutil.rmtree(run)
            second.enter_context(locked(run))
        assert (run / ".lock").exists()
        with pytest.raises(InputError, match="in use by"), locked(run):
            pass
    assert not (run / ".lock").exists()


def test_a_lock_that_is_a_folder(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(InputError, match=r"\.lock is no regular file"), locked(tmp_path):
        pass
    assert (tmp_path / ".lock").is_dir()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"process 7", b"process 7 on \x1b[31mred"])
def test_a_lock_that_tells_nothing_of_its_owner(content, tmp_path):
    with locked(tmp_path):
        (tmp_path / ".lock").write_bytes(content)
        assert trainer(tmp_path) == "another process"
        with pytest.raises(InputError, match="in use by another process; wait"), locked(tmp_path):
            pass


def test_who_trains_is_known_while_it_does(tmp_path):
    assert trainer(tmp_path) is None
    with locked(tmp_path):
        assert trainer(tmp_path) == f"process {os.getpid()} on {socket.gethostname()}"
    # As a process leaves it that is killed.
    (tmp_path / ".lock").write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
    assert trainer(tmp_path) is None
