"""A run that is killed at any moment goes on and ends bit for bit as an undisturbed one.

``make crash`` kills 200 runs: half of them at a file operation, the others between two.
"""

import shutil
import signal
import time
from functools import cache, partial

import pytest

from tests.crash.killer import Killer
from tests.processes import end, finish, no_pictures, start
from tests.training.shared import same

LEARNERS = ("maml", "maml++", "reptile", "protomaml", "finetune")


COMMAND = [
    *("train", "glyphs-5way-1shot", "--filters", "2", "--meta-batch", "2", "--ema-decay", "0.9"),
    *("--steps", "5", "--checkpoint-every", "2", "--val-every", "3", "--val-tasks", "2"),
    *("--test-tasks", "2", "--test-inner-steps", "2"),
]


def prepare(killer):
    """Before each run."""
    no_pictures()
    killer()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run of a learner and a number of workers, and its file operations."""
    folder = tmp_path_factory.mktemp("undisturbed")

    @cache
    def made(learner, workers):
        run_dir, count = folder / f"{learner}-{workers}", folder / "count"
        given = command(learner, workers, run_dir)
        status, said = finish(given, folder / "out", partial(prepare, Killer(run_dir, 0, count)))
        assert status == 0, said
        return run_dir, int(count.read_text())

    return made


def command(learner, workers, run_dir):
    # Settings that a learner does not have are refused.
    steps = [] if learner == "finetune" else ["--inner-steps", "2"]
    shared = [] if learner == "finetune" else ["--workers", workers]
    return [*COMMAND, *steps, *shared, "--algorithm", learner, "--run-dir", run_dir]


@pytest.mark.parametrize("kills", [12, pytest.param(200, marks=pytest.mark.crash)])
def test_killed_runs_end_as_undisturbed_ones(kills, undisturbed, tmp_path):
    killed = 0
    for number in range(kills):
        cell = number // 2 % 10
        learner, workers = LEARNERS[cell % 5], 1 + cell % 2
        whole, operations = undisturbed(learner, workers)
        # Spread evenly, wherever a campaign ends.
        share = (number // 2 + 0.5) * 0.6180339887 % 1
        at, later = 1 + int(share * operations), number % 2 * 0.05 * (100 * share % 1)
        told = f"{learner}, {workers} workers, killed at file operation {at} of {operations}"
        told += f" and {1000 * later:.0f} ms" if later else ""
        given, out = command(learner, workers, tmp_path / "run"), tmp_path / "out"
        status, said = (kill_later if later else kill_at)(given, out, at, later)
        assert status in (-signal.SIGKILL, 0), f"{told}: {said}"
        killed += status != 0
        status, said = finish(given, out, no_pictures)
        assert status == 0, f"{told}: {said}"
        assert "bit for bit" not in said, f"{told}: {said}"
        assert same(whole, tmp_path / "run"), told
        shutil.rmtree(tmp_path / "run")
        print(told)
    # A few of those that come later come too late.
    assert killed > 0.9 * kills - 1


def kill_at(given, out, at, _):
    """Kill a run at a file operation."""
    return finish(given, out, partial(prepare, Killer(given[-1], at)))


def kill_later(given, out, at, seconds):
    """Kill a run some time after a file operation."""
    count = out.with_name("count")
    count.write_text("0")
    process = start(given, out, partial(prepare, Killer(given[-1], 0, count)))
    while process.is_alive() and int(count.read_text() or 0) < at:
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    return end(process, out)
