"""Ranks of one launcher find one another, whatever earlier attempts left behind."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import HashStore

from fewstep.distributed import meeting
from fewstep.distributed.meeting import own_store, staying

SIZE = 3


def met(store, order=range(SIZE)):
    """The words that each rank reads of the others, in the part of the store that they agree on."""
    with ThreadPoolExecutor(SIZE) as pool:
        found = []
        for rank in order:
            found.append(pool.submit(own_store, store, rank, SIZE))
            time.sleep(0.05)
        parts = [each.result(20) for each in found]
    for rank, part in zip(order, parts, strict=True):
        assert not part.check(["address"])
        part.set(f"{rank}", f"{rank}")
    parts[0].set("address", "of this attempt")
    return [[part.get(f"{rank}") for rank in range(SIZE)] for part in parts]


def test_each_attempt_has_a_part_of_its_own():
    store = HashStore()
    for order in (range(SIZE), [2, 1, 0], [1, 0, 2]):
        assert met(store, order) == [[b"0", b"1", b"2"]] * SIZE


def test_an_attempt_that_broke_off_is_no_obstacle():
    """Some had left their tokens, and were never answered, or did not go on."""
    store = HashStore()
    store.set("hello/1", "old")
    store.set("hello/2", "older")
    assert met(store) == [[b"0", b"1", b"2"]] * SIZE


def test_a_store_stays_until_the_others_have_read(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    monkeypatch.setattr(meeting, "LINGER", 20.0)
    store = HashStore()

    def fail(rank):
        with staying(store, rank, 2):
            time.sleep(0.2 * rank)
            raise KeyError

    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(fail, rank) for rank in range(2))
        with pytest.raises(KeyError):
            first.result(20)
        assert second.done() or store.add("left", 0) == 1
