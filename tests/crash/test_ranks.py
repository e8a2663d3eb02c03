"""Runs of several ranks: one run, whoever computes it, and one end, whoever dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from signal import SIGKILL

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

import fewstep
from tests.crash.killer import Killer
from tests.factory import make_tasks, mlp
from tests.processes import end_ranks, finish, no_pictures, start_ranks, until
from tests.ranks import in_ranks
from tests.training.shared import lines, same

COMMAND = [
    *("train", "glyphs-5way-1shot", "--filters", "2", "--meta-batch", "3", "--inner-steps", "2"),
    *("--steps", "6", "--checkpoint-every", "2", "--val-every", "3", "--val-tasks", "3"),
    *("--test-tasks", "3", "--test-inner-steps", "2"),
]
WRONG, STOPPED = 2, 130


def command(run_dir, *more):
    return [*COMMAND, *more, "--run-dir", run_dir]


def without_pictures(_rank):
    no_pictures()


def train(run_dir, folder, size=2, *more, prepare=without_pictures):
    """The statuses of ranks that train, and what they said."""
    return end_ranks(start_ranks(command(run_dir, *more), folder, size, prepare), folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run directory by so many ranks, undisturbed, and what they said."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def made(size):
        run_dir = folder / f"{size}"
        if size == 1:
            given = command(run_dir, "--workers", "1")
            status, said = finish(given, folder / "out", no_pictures)
            statuses, said = [status], [said]
        else:
            statuses, said = train(run_dir, folder / f"out{size}", size)
        assert statuses == [0] * size, said
        return run_dir, said

    return made


def assert_close(one, other):
    """The same weights and figures but for rounding, in float32."""
    for name in ("last.safetensors", "best.safetensors"):
        a, b = load_file(one / name), load_file(other / name)
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    for a, b in zip(lines(one), lines(other), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-4)


def one_line(said):
    """The only line of an error that any of the ranks told."""
    (line,) = [line for line in "".join(said).splitlines() if line.startswith("fewstep: ")]
    assert not any("Traceback" in each for each in said)
    return line


def test_ranks_train_as_one_process_does(whole):
    (alone, told), (run_dir, said) = whole(1), whole(2)
    assert said[1] == ""
    assert len(said[0].splitlines()) == len(told[0].splitlines())
    assert {path.name for path in run_dir.iterdir()} == {path.name for path in alone.iterdir()}
    assert_close(run_dir, alone)


def fitted(run_dir):
    """The history and the state of a short training in float64, and an evaluation."""
    learner = fewstep.MAML(mlp(), 0.3, 2)
    tasks = [make_tasks(3, seed=step) for step in range(6)]
    result = fewstep.fit(learner, tasks, tasks[:2], steps=6, val_every=3, run_dir=run_dir)
    found = fewstep.evaluate(learner, tasks, workers=2 if dist.is_initialized() else 1)
    return result.history, dict(learner.state_dict()), found.loss.mean


def test_a_script_with_a_group_of_its_own(tmp_path):
    """Also with a run directory, of which only the first rank knows."""
    history, state, loss = fitted(tmp_path / "alone")
    for other in in_ranks(fitted, 2, tmp_path / "ranks", tmp_path / "run"):
        assert len(other[0]) == len(history) or not other[0]
        torch.testing.assert_close(other[1], state, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(other[2], loss, rtol=1e-10, atol=1e-12)


@pytest.mark.crash
def test_more_ranks_than_tasks(whole, tmp_path):
    statuses, said = train(tmp_path / "run", tmp_path / "out", 5)
    assert statuses == [0] * 5, said
    assert_close(tmp_path / "run", whole(1)[0])


@pytest.mark.crash
@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_ranks_goes_on(first, then, whole, tmp_path):
    run_dir = tmp_path / "run"
    for size, steps, out in ((first, "3", "first"), (then, "6", "then")):
        statuses, said = train(run_dir, tmp_path / out, size, "--steps", steps)
        assert statuses == [0] * size, said
    assert "perhaps not bit for bit" in said[0]
    assert_close(run_dir, whole(1)[0])


@pytest.mark.crash
def test_json_is_alone_on_standard_output(whole, tmp_path):
    run_dir, _ = whole(2)
    given = ["evaluate", run_dir, "--tasks", "5", "--json"]
    status, alone = finish(given, tmp_path / "alone")
    assert status == 0, alone
    statuses, said = end_ranks(start_ranks(given, tmp_path / "ranks"), tmp_path / "ranks")
    assert statuses == [0, 0], said
    assert said[1] == ""
    one, several = json.loads(alone), json.loads(said[0])
    assert several["accuracy"] == pytest.approx(one["accuracy"])
    assert several["tasks"] == 5


@pytest.mark.crash
@pytest.mark.parametrize(
    "given",
    [
        ["--steps", "many"],
        ["--filters", "0"],
        ["--data-dir", "nowhere", "--recipe", "x"],
        ["--execution", "captured"],
        ["--meta-batch", "3", "--run-dir", "/proc/none"],
    ],
)
def test_a_mistake_ends_all_ranks_with_one_line(given, tmp_path):
    folder = tmp_path / "out"
    statuses, said = end_ranks(
        start_ranks([*command(tmp_path / "run"), *given], folder, 2, without_pictures), folder
    )
    assert statuses == [WRONG, WRONG], said
    assert one_line(said).startswith("fewstep: error: ")


def nan_in_second(rank):
    """Let a task of the second rank be no number in the fifth outer step."""
    from fewstep.data.episodes import EpisodeSampler

    no_pictures()
    batch = EpisodeSampler.batch

    def with_nan(self, numbers):
        tasks = batch(self, numbers)
        if 14 in numbers:
            tasks.query_x[-1] = torch.nan
        return tasks

    if rank == 1:
        EpisodeSampler.batch = with_nan


@pytest.mark.crash
def test_a_loss_that_is_not_finite_ends_all(tmp_path):
    statuses, said = train(tmp_path / "run", tmp_path / "out", prepare=nan_in_second)
    assert statuses == [WRONG, WRONG], said
    line = one_line(said)
    assert "in task 14 of outer step 5" in line
    assert "the checkpoint of outer step 4 is kept" in line


def fails_in_second(rank):
    from fewstep.training.state import State

    no_pictures()
    descend = State.descend

    def failing(self, *arguments):
        if self.progress.step == 4:
            raise ZeroDivisionError("of this rank")
        descend(self, *arguments)

    if rank == 1:
        State.descend = failing


@pytest.mark.crash
def test_a_fault_of_one_rank_ends_all(tmp_path):
    statuses, said = train(tmp_path / "run", tmp_path / "out", prepare=fails_in_second)
    assert 0 not in statuses
    assert "ZeroDivisionError: of this rank" in "".join(said)


@pytest.mark.crash
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_ends_all(victim, whole, tmp_path):
    run_dir, folder = tmp_path / "run", tmp_path / "out"
    processes = start_ranks(command(run_dir), folder, 2, slowly)
    until((run_dir / "last.safetensors").exists, processes[0])
    processes[victim].kill()
    statuses, said = end_ranks(processes, folder, timeout=20)
    assert statuses[victim] == -SIGKILL
    assert statuses[1 - victim] == WRONG
    assert "ended before its work was done" in one_line(said)
    statuses, said = train(run_dir, tmp_path / "again")
    assert statuses == [0, 0], said
    assert "bit for bit" not in said[0]
    assert same(whole(2)[0], run_dir)


def slowly(rank):
    """Let each outer step take a while."""
    from fewstep.training.state import State

    no_pictures()
    average_in = State.average_in

    def wait(self):
        average_in(self)
        time.sleep(0.2)

    State.average_in = wait


@pytest.mark.crash
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("whom", [[0], [1], [0, 1]], ids=["first", "second", "both"])
def test_a_signal_stops_all_ranks(number, whom, whole, tmp_path):
    run_dir, folder = tmp_path / "run", tmp_path / "out"
    processes = start_ranks(command(run_dir), folder, 2, slowly)
    until((run_dir / "last.safetensors").exists, processes[0])
    for rank in whom:
        os.kill(processes[rank].pid, number)
    statuses, said = end_ranks(processes, folder, timeout=20)
    assert statuses == [STOPPED, STOPPED], said
    assert "the same command goes on from there" in one_line(said)
    statuses, said = train(run_dir, tmp_path / "again")
    assert statuses == [0, 0], said
    assert "bit for bit" not in said[0]
    # Stopped after another outer step than those of a checkpoint: the last bits of Adam are there.
    assert same(whole(2)[0], run_dir)


def torchrun(given, folder, *options):
    """A launcher of two ranks, in a session of its own, and where it says what."""
    folder.mkdir(exist_ok=True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", *options]
    words = [*launcher, "--nproc-per-node", "2", "-m", "fewstep", *map(str, given)]
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            words, stdout=out, stderr=err, env=environment, start_new_session=True
        )


def ranks_of(launcher):
    """The process ids of its ranks, by number."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            told = dict(w.partition("=")[::2] for w in (path / "environ").read_text().split("\0"))
            if parent == launcher.pid and "RANK" in told:
                found[int(told["RANK"])] = int(path.name)
    return found


def test_torchrun_starts_ranks_anew(whole, tmp_path):
    """One of them is killed: both go on from the last checkpoint, as the undisturbed run."""
    run_dir = tmp_path / "run"
    launcher = torchrun(command(run_dir), tmp_path / "out", "--max-restarts", "2")
    wait_for((run_dir / "last.safetensors").exists)
    os.kill(ranks_of(launcher)[1], SIGKILL)
    assert launcher.wait(120) == 0, (tmp_path / "out" / "err").read_text()
    assert "Traceback" not in (tmp_path / "out" / "err").read_text()
    assert same(whole(2)[0], run_dir)


def wait_for(what, timeout=60):
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def counting(folder, at, told, rank):
    """Let the first rank die at a file operation, or tell how many there are."""
    no_pictures()
    if rank == 0:
        Killer(folder, at, told)()


def first_rank(run_dir, out, share, operations):
    """It dies at one of its file operations."""
    at = 1 + int(share * operations)
    return train(run_dir, out, prepare=partial(counting, run_dir, at, None))[0]


def second_rank(run_dir, out, share, operations):
    """It dies some time after a file operation of the first."""
    count = out.with_name("count")
    count.write_text("0")
    processes = start_ranks(command(run_dir), out, 2, partial(counting, run_dir, 0, count))
    while processes[1].is_alive() and int(count.read_text() or 0) < share * operations:
        time.sleep(0.002)
    time.sleep(0.05 * (100 * share % 1))
    processes[1].kill()
    return end_ranks(processes, out)[0]


def of_torchrun(victim, run_dir, out, share, _):
    """One of its ranks dies or, without a number, the launcher itself."""
    launcher = torchrun(command(run_dir), out)
    wait_for((run_dir / "config.json").exists)
    time.sleep(4 * share)
    ranks = ranks_of(launcher)
    with suppress(KeyError, ProcessLookupError):
        os.kill(launcher.pid if victim is None else ranks[victim], SIGKILL)
    status = launcher.wait(60)
    # Who is left would hold the run directory.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks.values()))
    return [status]


KILLED = {
    "the first rank": first_rank,
    "the second rank": second_rank,
    "torchrun": partial(of_torchrun, None),
    "the first rank of torchrun": partial(of_torchrun, 0),
    "the second rank of torchrun": partial(of_torchrun, 1),
}


@pytest.mark.crash
@pytest.mark.parametrize("kills", [20])
def test_killed_ranks_end_as_undisturbed_ones(kills, whole, tmp_path):
    """Of two ranks one, or their launcher, is killed at any moment; the same command goes on."""
    expected, _ = whole(2)
    run_dir, killed, count = tmp_path / "run", 0, tmp_path / "count"
    train(run_dir, tmp_path / "out", prepare=partial(counting, run_dir, 0, count))
    operations = int(count.read_text())
    for number in range(kills):
        shutil.rmtree(run_dir)
        share = (number + 0.5) * 0.6180339887 % 1
        victim, kill = list(KILLED.items())[number % len(KILLED)]
        told = f"{victim} killed at {100 * share:.0f}% of a run"
        statuses = kill(run_dir, tmp_path / "out", share, operations)
        killed += any(statuses)
        print(told, statuses, flush=True)
        statuses, said = train(run_dir, tmp_path / "again")
        assert statuses == [0, 0], f"{told}: {said}"
        assert "bit for bit" not in said[0], f"{told}: {said}"
        assert same(expected, run_dir), told
    assert killed > 0.6 * kills
