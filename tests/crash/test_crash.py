"""A run that is killed at any moment goes on and ends bit for bit as an undisturbed one.

``make crash`` kills 200 runs: half of them at a file operation, the others after some time.
"""

import json
import signal
import time
from functools import cache, partial

import pytest
from safetensors import safe_open
from safetensors.torch import load_file
from tests.crash.killer import Killer
from tests.processes import end, finish, start

LEARNERS = ("maml", "maml++", "reptile", "protomaml", "finetune")
COMMAND = [
    *("train", "glyphs-5way-1shot", "--filters", "2", "--meta-batch", "2", "--averaging", "0.9"),
    *("--steps", "7", "--checkpoint-every", "2", "--val-every", "3", "--val-tasks", "2"),
    *("--test-tasks", "2", "--inner-steps", "2", "--test-inner-steps", "2"),
]


def no_pictures():
    """Let the report draw nothing, which takes a second."""
    from fewstep.cli import judge
    from fewstep.files import write_whole

    def draw(path, *_):
        write_whole(path, lambda part: part.write_bytes(b"picture"))

    judge.draw_curves = judge.draw_task = draw


def prepare(killer):
    """Before each run."""
    no_pictures()
    killer()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The run of a learner and a number of workers, its file operations and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")

    @cache
    def made(learner, workers):
        run_dir, count = folder / f"{learner}-{workers}", folder / "count"
        began = time.monotonic()
        killer = Killer(run_dir, 0, count)
        status, said = finish(
            command(learner, workers, run_dir), folder / "out", partial(prepare, killer)
        )
        assert status == 0, said
        return run_dir, int(count.read_text()), time.monotonic() - began

    return made


def command(learner, workers, run_dir):
    return [*COMMAND, "--algorithm", learner, "--workers", workers, "--run-dir", run_dir]


@pytest.mark.parametrize("kills", [12, pytest.param(200, marks=pytest.mark.crash)])
def test_killed_runs_end_as_undisturbed_ones(kills, undisturbed, tmp_path):
    for number in range(kills):
        learner, workers = LEARNERS[number % 5], 1 + number // 5 % 2
        whole, operations, seconds = undisturbed(learner, workers)
        # Spread evenly, wherever a campaign ends.
        share = (number // 2 + 0.5) * 0.6180339887 % 1
        run_dir, out = tmp_path / str(number), tmp_path / "out"
        at = 1 + int(share * operations) if number % 2 == 0 else 0
        told = f"kill {number}: {learner}, {workers} workers, "
        told += f"operation {at} of {operations}" if at else f"after {share:.3f} of {seconds:.2f} s"
        given = command(learner, workers, run_dir)
        process = start(given, out, partial(prepare, Killer(run_dir, at)))
        if not at:
            process.join(share * seconds)
            process.kill()
        status, said = end(process, out)
        # Without a number it may be too late to kill it.
        assert status == -signal.SIGKILL or (status == 0 and not at), f"{told}: {said}"
        status, said = finish(given, out, no_pictures)
        assert status == 0, f"{told}: {said}"
        assert "bit for bit" not in said, f"{told}: {said}"
        assert same(whole, run_dir), told
        print(told)


def same(one, other):
    names = {path.name for path in one.iterdir()}
    if names != {path.name for path in other.iterdir()}:
        return False
    if (one / "metrics.jsonl").read_text() != (other / "metrics.jsonl").read_text():
        return False
    return all(
        _same_checkpoint(one / n, other / n) for n in ("last.safetensors", "best.safetensors")
    )


def _same_checkpoint(one, other):
    a, b = load_file(one), load_file(other)
    equal = a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)
    return equal and _progress(one) == _progress(other)


def _progress(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["progress"]) | {"seconds": 0}
