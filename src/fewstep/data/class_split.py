"""Splits of classes into training, validation and test; no class is in two of them."""

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from fewstep.choices import Split
from fewstep.data.folder_listing import spelled_alike
from fewstep.errors import InputError
from fewstep.whole_numbers import check_whole

USUAL = (0.6, 0.2, 0.2)


def split_sizes(classes: int, parts: Sequence[float], of: str = "classes") -> tuple[int, ...]:
    """Classes, or ``of`` what there are, of each part: integers are counts, floats fractions.

    Raises:
        InputError: The parts do not fit.

    >>> split_sizes(12, (8, 2, 2)), split_sizes(12, (0.6, 0.2, 0.2))
    ((8, 2, 2), (8, 2, 2))
    """
    told = f"split{tuple(parts)}"
    plain = [isinstance(part, int | np.integer) and not isinstance(part, bool) for part in parts]
    if len(parts) != 3 or not (all(plain) or all(type(part) is float for part in parts)):
        raise InputError(
            f"{told}: expected three parts, training, validation and test: all counts of {of}, "
            "as in split(8, 2, 2), or all fractions, as in split(0.6, 0.2, 0.2)"
        )
    if not all(part >= 0 for part in parts):
        raise InputError(f"{told}: expected parts of 0 or more")
    whole = classes if all(plain) else 1
    if sum(parts) > whole + 1e-9:
        there = f"{classes} {of}" if all(plain) else f"all {of}, 1"
        raise InputError(f"{told} is {sum(parts):g} in all, of {there}; choose smaller parts")
    if all(plain):
        return tuple(int(part) for part in parts)
    # The tests are rounded down, and training gets what is left of the sum.
    val, test = (int(part * classes + 1e-9) for part in parts[1:])
    return int(round(sum(parts) * classes, 6)) - val - test, val, test


def usual_sizes(classes: int, ways: int = 2) -> tuple[int, ...]:
    """60, 20 and 20%, with at least the ways in each part where the classes suffice.

    >>> usual_sizes(12), usual_sizes(12, ways=3), usual_sizes(100, ways=5)
    ((8, 2, 2), (6, 3, 3), (60, 20, 20))
    """
    train, val, test = split_sizes(classes, USUAL)
    if classes < 3 * ways:
        return train, val, test
    val, test = max(val, ways), max(test, ways)
    return classes - val - test, val, test


def draw_split(sizes: Sequence[int], classes: int, seed: int) -> list[list[int]]:
    """Numbers of classes for each part, in ascending order; a seed always draws the same."""
    order = np.random.default_rng(check_whole("seed", seed)).permutation(classes)
    ends = np.cumsum(sizes)
    return [sorted(order[end - size : end].tolist()) for size, end in zip(sizes, ends, strict=True)]


def with_all_parts(parts: Mapping[Split, Sequence[str]], seed: int) -> dict[Split, Sequence[str]]:
    """The parts, where one without a class gets a fifth of the training classes, two at least.

    >>> with_all_parts({"train": list("abcdef"), "val": [], "test": list("xy")}, seed=0)
    {'train': ['c', 'd', 'e', 'f'], 'val': ['a', 'b'], 'test': ['x', 'y']}
    """
    train, rest = parts["train"], [split for split in parts if split != "train"]
    fifth = max(2, len(train) // 5)
    sizes = [0 if parts[split] else fifth for split in rest]
    if not any(sizes) or sum(sizes) > len(train):
        return dict(parts)
    drawn = draw_split([len(train) - sum(sizes), *sizes], len(train), seed)
    names = [[train[number] for number in numbers] for numbers in drawn]
    filled: dict[Split, Sequence[str]] = {"train": names[0]}
    return filled | {split: parts[split] or of for split, of in zip(rest, names[1:], strict=True)}


def numbers_by_name(
    names: Sequence[str], parts: Mapping[Split, Sequence[str]], where: object, kind: str
) -> list[list[int]]:
    """Numbers of the names of each part, in the order of the splits.

    Args:
        names: All that there are, in order.
        parts: The names of each part.
        where: Where they are, for the error.
        kind: ``"classes"`` or ``"tasks"``, for the error.

    Raises:
        InputError: Some are missing.
    """
    # Of a folder that was copied, a name may be spelled by other characters that look the same.
    number = {spelled_alike(name): i for i, name in enumerate(names)}
    number |= {name: i for i, name in enumerate(names)}

    def place(name: str) -> int | None:
        return number.get(name, number.get(spelled_alike(name)))

    order: tuple[Split, ...] = get_args(Split)
    missing = [name for part in order for name in parts[part] if place(name) is None]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"{where} lacks {len(missing)} of the {kind} of the split: {', '.join(missing[:3])}"
            f"{more}; put them back"
        )
    return [[found for n in parts[part] if (found := place(n)) is not None] for part in order]
