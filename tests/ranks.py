"""Functions that several processes of one group run at once; they share one import of PyTorch."""

from contextlib import contextmanager

import torch
import torch.distributed as dist

from tests.processes import SERVER


def in_ranks(function, size, folder, *arguments, timeout=60):
    """The values that a function, at the top of a module, returns in each process of a gloo group.

    Args:
        function: Called with the arguments in each process.
        size: How many processes there are.
        folder: Where they meet; a new one for each call.
        timeout: Seconds after which they are ended.
    """
    folder.mkdir()
    given = [(function, rank, size, folder, arguments) for rank in range(size)]
    processes = [SERVER.Process(target=_rank, args=each) for each in given]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
    assert [process.exitcode for process in processes] == [0] * size
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]


@contextmanager
def group(rank, size, folder):
    """A gloo group of processes that meet in a folder."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/init", rank=rank, world_size=size)
    yield
    dist.destroy_process_group()


def _rank(function, rank, size, folder, arguments):
    with group(rank, size, folder):
        torch.save(function(*arguments), folder / f"{rank}.pt")
