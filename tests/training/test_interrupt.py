"""Ctrl-C and SIGTERM end a run at once and quietly, and the same command goes on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.util import Finalize

import pytest

from fewstep import cli
from fewstep.training import interrupt
from fewstep.training.interrupt import SIGNALS
from fewstep.training.lock import locked
from tests.processes import end, finish, no_pictures, start, until

COMMAND = [
    *("train", "sinusoid", "--val-every", "100", "--val-tasks", "2", "--test-tasks", "30"),
    *("--meta-batch", "2", "--checkpoint-every", "20"),
]


def slow_test(ready):
    """Let the final test take a minute, and tell when it begins."""
    from fewstep.cli import results

    evaluate_tasks = results.evaluate_tasks

    def slowly(*arguments):
        ready.touch()
        time.sleep(60)
        return evaluate_tasks(*arguments)

    no_pictures()
    results.evaluate_tasks = slowly


def slow_flags(ready):
    """Let reading the flags take a minute, and tell when it begins; the process ends slowly."""
    from fewstep.cli import compare, evaluate, train

    def slowly(*_):
        ready.touch()
        time.sleep(60)

    Finalize(None, time.sleep, args=(0.3,), exitpriority=1)
    for command in (compare, evaluate, train):
        command.parse = slowly
    train.find_recipe = slowly


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_final_test_is_stopped_and_finished_later(number, tmp_path):
    command = [*COMMAND, "--steps", "100", "--run-dir", tmp_path / "run"]
    process = start(command, tmp_path / "out", partial(slow_test, tmp_path / "ready"))
    until((tmp_path / "ready").exists, process)
    began = time.monotonic()
    os.kill(process.pid, number)
    status, said = end(process, tmp_path / "out")
    assert time.monotonic() - began < 10
    assert status == 130
    assert said.endswith("stopped in the final test; the same command goes on from there\n")
    assert not (tmp_path / "run" / "summary.json").exists()
    status, said = finish(command, tmp_path / "out", no_pictures)
    assert status == 0, said
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["tasks"] == 30


SCRIPT = """
import os, signal, time
from fewstep.training.interrupt import quiet_end
def main():
    try:
        with quiet_end():
            exec("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)")
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGINT)
        return 130
raise SystemExit(main())
"""


def test_ctrl_c_in_code_that_was_made_from_text(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "script"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize(
    ("phase", "apart"),
    [("training", 0), ("training", 0.0005), ("training", 0.02), ("test", 0.0005), ("test", 0.005)],
)
def test_two_ctrl_c_end_quietly(phase, apart, tmp_path):
    steps = "1000000" if phase == "training" else "100"
    command = [*COMMAND, "--steps", steps, "--run-dir", tmp_path / "run"]
    process = start(command, tmp_path / "out", partial(slow_test, tmp_path / "ready"))
    begun = tmp_path / ("ready" if phase == "test" else "run/last.safetensors")
    until(begun.exists, process)
    for _ in range(2):
        # It may have ended before the second one.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
        time.sleep(apart)
    status, said = end(process, tmp_path / "out")
    assert status == 130, said
    assert "Traceback" not in said
    assert "ignored" not in said
    # Launchers and schedulers hand on a signal that the process has, too.
    where = "after outer step" if phase == "training" else "in the final test"
    assert f"stopped {where}" in said.splitlines()[-1]
    with locked(tmp_path / "run"):
        pass


@pytest.fixture
def heeded():
    """Ctrl-C as Python has it: a shell lets what it runs in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_a_signal_that_is_given_again_acts(monkeypatch):
    monkeypatch.setattr(interrupt, "AGAIN", 0)
    with interrupt.Interrupt() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("command", "number", "apart"),
    [
        ("train", signal.SIGTERM, 0.001),
        ("train", signal.SIGINT, 0.05),
        ("evaluate", signal.SIGTERM, 0.05),
        ("evaluate", signal.SIGINT, 0.001),
        ("compare", signal.SIGTERM, 0.05),
        ("compare", signal.SIGINT, 0.001),
    ],
)
def test_two_signals_while_a_command_reads_its_flags(command, number, apart, tmp_path):
    process = start([command, tmp_path], tmp_path / "out", partial(slow_flags, tmp_path / "ready"))
    until((tmp_path / "ready").exists, process)
    for _ in range(2):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        time.sleep(apart)
    assert end(process, tmp_path / "out") == (130, "fewstep: stopped\n")


@pytest.mark.parametrize("threads", [False, True], ids=["main thread", "another thread"])
def test_signals_are_handled_as_before_afterwards(threads, monkeypatch, capsys):
    before = [signal.getsignal(number) for number in SIGNALS]

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", stop)
    if threads:
        with ThreadPoolExecutor() as pool:
            assert pool.submit(cli.main, []).result() == 130
    else:
        assert cli.main([]) == 130
    assert capsys.readouterr().err == "fewstep: stopped\n"
    assert [signal.getsignal(number) for number in SIGNALS] == before
