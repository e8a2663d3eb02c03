"""The tasks of each split, made when they are asked for: what nobody asks for refuses nothing."""

from collections.abc import Callable, Iterator, Mapping

from fewstep.choices import Split
from fewstep.data.source import SPLITS, TaskSource
from fewstep.errors import InputError


class OnDemand(Mapping[Split, TaskSource]):
    """The sources of the three splits, each made once.

    Args:
        make: Makes the source of a split; `InputError` where the split is too small.

    >>> asked = OnDemand(lambda split: print(split))
    >>> asked["val"]
    val
    """

    def __init__(self, make: Callable[[Split], TaskSource]) -> None:
        self._make, self._made = make, dict[Split, TaskSource]()

    def __getitem__(self, split: Split) -> TaskSource:
        if split not in SPLITS:
            raise KeyError(split)
        if split not in self._made:
            self._made[split] = self._make(split)
        return self._made[split]

    def __iter__(self) -> Iterator[Split]:
        return iter(SPLITS)

    def __len__(self) -> int:
        return len(SPLITS)


def last_not_refused(tasks: Mapping[Split, TaskSource]) -> TaskSource:
    """The last source of those that can be made; `InputError` of the last where none can."""
    refused = []
    for split in reversed(SPLITS):
        try:
            return tasks[split]
        except InputError as error:
            refused.append(error)
    raise refused[0]
