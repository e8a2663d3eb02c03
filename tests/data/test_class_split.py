"""Integers are counts, floats are fractions, and no class is in two parts."""

import pytest

from fewstep import InputError
from fewstep.data.class_split import (
    draw_split,
    numbers_by_name,
    split_sizes,
    usual_sizes,
    with_all_parts,
)


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        ((8, 2, 2), (8, 2, 2)),
        ((3, 0, 1), (3, 0, 1)),
        ((0.6, 0.2, 0.2), (8, 2, 2)),
        ((0.5, 0.25, 0.25), (6, 3, 3)),
        ((1.0, 0.0, 0.0), (12, 0, 0)),
        ((0.5, 0.0, 0.25), (6, 0, 3)),
        ((1 / 3, 1 / 3, 1 / 3), (4, 4, 4)),
    ],
)
def test_counts_and_fractions(parts, sizes):
    assert split_sizes(12, parts) == sizes


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((8, 4), "expected three parts"),
        ((6, 2, 2, 2), "expected three parts"),
        ((8, 0.2, 0.2), "all counts of classes.*or all fractions"),
        ((True, 1, 1), "all counts"),
        (("8", "2", "2"), "all counts"),
        ((8, 3, 2), "is 13 in all, of 12 classes"),
        ((0.6, 0.3, 0.2), "is 1.1 in all, of all classes, 1"),
        ((-1, 2, 2), "expected parts of 0 or more"),
        ((0.6, float("nan"), 0.2), "expected parts of 0 or more"),
        ((0.6, -0.2, 0.2), "expected parts of 0 or more"),
    ],
)
def test_parts_that_do_not_fit(parts, told):
    with pytest.raises(InputError, match=told):
        split_sizes(12, parts)


def test_the_ways_are_in_each_part_where_the_classes_suffice():
    for classes in range(3, 200):
        for ways in (2, 5, 20):
            sizes = usual_sizes(classes, ways)
            assert sum(sizes) == classes
            assert (min(sizes) >= ways) == (classes >= 3 * ways)
    assert usual_sizes(1000, 5) == (600, 200, 200)


def test_a_split_is_drawn_by_its_seed():
    parts = draw_split((8, 2, 1), 12, seed=0)
    assert list(map(len, parts)) == [8, 2, 1]
    assert len({*parts[0], *parts[1], *parts[2]}) == 11
    assert parts == draw_split((8, 2, 1), 12, seed=0)
    assert parts != draw_split((8, 2, 1), 12, seed=1)


def test_a_part_that_is_missing_comes_from_training():
    given = {"train": list("abcdefghij"), "val": [], "test": []}
    parts = with_all_parts(given, 0)
    assert list(map(len, parts.values())) == [6, 2, 2]
    assert sorted(c for names in parts.values() for c in names) == given["train"]
    few = {"train": ["a"], "val": [], "test": ["b"]}
    assert with_all_parts(few, 0) == few


def test_a_name_may_be_spelled_in_two_ways():
    names = ["a", "e\u0301", "o\u0308", "\u00f6"]
    parts = {"train": ["\u00e9", "a"], "val": ["\u00f6"], "test": ["o\u0308"]}
    assert numbers_by_name(names, parts, "there", "classes") == [[1, 0], [3], [2]]
