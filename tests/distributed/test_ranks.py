"""Ranks that are forked: what they tell one another, and how they end."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from fewstep import InputError
from fewstep.distributed.ranks import Ranks, joined, ranks


def _children(process="self"):
    """The numbers of all, those that ended and were not waited for among them."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return {int(number) for each in lists for number in each.read_text().split()}


@pytest.fixture(scope="module", autouse=True)
def _first():
    """The first group opens a pipe that the library of them keeps."""
    with joined(2) as here:
        here.wait()


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _held()
    yield
    assert _held() == before
    assert list(tmp_path.glob("fewstep-*")) == []
    assert ranks() == Ranks()


def _held():
    gc.collect()
    return _children(), len(os.listdir("/proc/self/fd")), torch.get_num_threads()


def test_no_other_machine_can_tell_them_anything():
    with joined(2) as here:
        here.wait()
        files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        own = {os.readlink(file) for file in files if os.path.lexists(file)}
        for table in ("tcp", "tcp6"):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                _, address, _, state, *others = line.split()
                listens = state == "0A" and f"socket:[{others[5]}]" in own
                assert not listens or address.startswith("0100007F:")


def test_what_ranks_tell_one_another():
    with joined(3) as here:
        total = here.sum(torch.tensor([1.0, here.rank]))
        told = here.gather({"rank": here.rank, "threads": torch.get_num_threads()})
        first = here.from_first(lambda: f"of {here.rank}")
        with joined(2) as inside:
            assert inside is here is ranks()
    assert here.size == 3
    assert total.tolist() == [3.0, 3.0]
    assert told == [{"rank": rank, "threads": 1} for rank in range(3)]
    assert first == "of 0"


def test_one_alone_costs_nothing():
    before = _children()
    with joined() as here:
        assert (here.rank, here.size, here.is_first) == (0, 1, True)
        assert here.gather(7) == [7]
        assert here.from_first(lambda: 8) == 8
        assert here.sum(torch.ones(2)).tolist() == [1.0, 1.0]
        assert _children() == before


class OddError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{text} ({code})")


def _odd():
    raise OddError(3, "out of order")


def _refused():
    raise InputError("this is refused") from KeyError("why")


def _local():
    class LocalError(Exception):
        pass

    raise LocalError("of a function")


@pytest.mark.parametrize(
    ("rank", "fail", "kind", "told"),
    [
        (0, _odd, OddError, r"^out of order \(3\)$"),
        (1, _odd, RuntimeError, r"^OddError: out of order \(3\)\nin another rank:\nTr"),
        (2, _refused, InputError, "^this is refused$"),
        (1, _local, RuntimeError, "^LocalError: of a function\n"),
        (2, lambda: os.kill(os.getpid(), signal.SIGKILL), InputError, "one of the ranks ended"),
        (1, lambda: os._exit(0), InputError, r"ended .* use fewer of them \(--workers, --nproc"),
    ],
)
def test_an_error_of_one_rank_is_that_of_all(rank, fail, kind, told):
    began = time.monotonic()
    with pytest.raises(kind, match=told) as caught, joined(3) as here:
        here.wait()
        if here.rank == rank:
            fail()
        here.wait()
    assert time.monotonic() - began < 30
    if fail is _refused:
        assert repr(caught.value.__cause__) == "KeyError('why')"


@pytest.mark.parametrize("workers", [0, -1, 100_000, 2.5, "2"])
def test_workers_out_of_range(workers):
    told = rf"^workers is {workers!r}; expected 1 to \d+ on this"
    with pytest.raises(InputError, match=told), joined(workers):
        pass


def test_no_process_to_be_had(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    told = r"cannot be started .*temporarily unavailable"
    with pytest.raises(InputError, match=told), joined(2):
        pass


def test_another_may_follow_while_the_first_is_kept():
    """Its threads are in no process that is forked: none may wait for them."""
    kept = []
    for _ in range(4):
        try:
            with joined(2) as here:
                here.wait()
                if not here.is_first:
                    raise KeyError
                here.wait()
        except KeyError as error:
            kept = [here, error, [kept]]
            kept.append(kept)


_SCRIPT = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs behind a shell ignores it
from fewstep.distributed.ranks import joined
with joined(3) as here:
    here.wait()
    if here.is_first:
        print("ready", flush=True)
        time.sleep(60)
    here.wait()
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_first(kind):
    script = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert script.stdout.readline() == "ready\n", script.communicate()[1]
    children = _children(script.pid)
    assert len(children) == 2
    os.killpg(script.pid, signal.SIGINT) if kind == signal.SIGINT else script.send_signal(kind)
    error = script.communicate()[1]
    assert error.count("Traceback") == (kind == signal.SIGINT)
    end = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < end
        time.sleep(0.1)
