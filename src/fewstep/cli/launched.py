"""A command as one of the ranks of torchrun: the first prints, and one tells of an error."""

import sys
from collections.abc import Callable

from fewstep.errors import InputError
from fewstep.runtime import launched

_OF_RANKS = ("train", "evaluate")


def as_rank(command: str, run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a command together with the other ranks."""
    if command not in _OF_RANKS:
        raise InputError(f"fewstep {command} is for one process; leave torchrun out")

    from fewstep.distributed.ranks import joined

    with joined():
        return run(arguments)


def use_own_device(device: str) -> None:
    """Let the device ``cuda`` be another one in each rank of this machine.

    Raises:
        InputError: There are fewer of them than ranks.
    """
    if not launched.launched() or device != "cuda":
        return

    import torch

    number = torch.cuda.device_count()
    if launched.rank_here() >= number > 0:
        raise InputError(
            f"this machine has more ranks than GPUs, of which there are {number}; use "
            f"--nproc-per-node {number}"
        )
    if number:
        torch.cuda.set_device(launched.rank_here())


def is_to_tell() -> bool:
    """Whether this process tells of the error by which it ends, and not another rank."""
    if "fewstep.distributed.ranks" not in sys.modules or not launched.launched():
        return launched.rank_here() == 0

    from fewstep.distributed import ranks

    return launched.rank_here() == 0 if ranks.failed_first is None else ranks.failed_first
