"""The command line in processes of its own, which share one import of PyTorch."""

import contextlib
import multiprocessing
import os
import socket
import sys
import time
from functools import partial
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")


# Adam imports the compiler, which takes seconds.
SERVER.set_forkserver_preload(["torch._dynamo", "fewstep.cli.results", "fewstep.cli.train"])


def start(arguments, out, prepare=None):
    """Start a command, as from a shell.

    Args:
        arguments: The words after ``fewstep``.
        out: The file that takes standard output and standard error.
        prepare: Called in the process first; a function at the top of a module, or a partial.
    """
    process = SERVER.Process(target=_command, args=(list(map(str, arguments)), str(out), prepare))
    process.start()
    return process


def finish(arguments, out, prepare=None, timeout=120):
    """The command's exit status and what it said."""
    process = start(arguments, out, prepare)
    return end(process, out, timeout)


def end(process, out, timeout=120):
    """The exit status of a command that was started, and what it said."""
    process.join(timeout)
    assert process.exitcode is not None, "it does not end"
    return process.exitcode, Path(out).read_text()


def start_ranks(arguments, folder, size=2, prepare=None):
    """Start a command as so many ranks, with the variables that torchrun gives them.

    Args:
        arguments: The words after ``fewstep``.
        folder: Takes what rank N says as N.txt; made where it is missing.
        size: How many there are.
        prepare: Called in each process with its rank; a function at the top of a module.
    """
    folder.mkdir(exist_ok=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    ready = [partial(_as_rank, rank, size, port, prepare) for rank in range(size)]
    return [start(arguments, folder / f"{n}.txt", each) for n, each in enumerate(ready)]


def end_ranks(processes, folder, timeout=120):
    """The exit statuses of ranks that were started, and what each of them said."""
    found = [end(each, folder / f"{n}.txt", timeout) for n, each in enumerate(processes)]
    return [status for status, _ in found], [said for _, said in found]


def until(what, process, timeout=60):
    """Wait for something to be true while a process goes on."""
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline
        assert process.is_alive()
        time.sleep(0.002)


def _command(arguments, out, prepare):
    import torch

    from fewstep.cli import main

    torch.set_num_threads(1)
    with open(out, "w") as file, contextlib.ExitStack() as stack:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        sys.stdout = stack.enter_context(os.fdopen(1, "w", closefd=False))
        sys.stderr = stack.enter_context(os.fdopen(2, "w", closefd=False))
        if prepare is not None:
            prepare()
        # As in a process of its own, whose end nothing follows.
        sys.argv = ["fewstep", *arguments]
        status = main()
    sys.exit(status)


def _as_rank(rank, size, port, prepare):
    given = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    given |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    os.environ.update({name: str(value) for name, value in given.items()})
    if prepare is not None:
        prepare(rank)


def no_pictures():
    """Let the report draw nothing, which takes a second."""
    from fewstep.cli import results
    from fewstep.files import write_whole

    def draw(path, *_):
        write_whole(path, lambda part: part.write_bytes(b"picture"))

    results.draw_curves = results.draw_task = draw
