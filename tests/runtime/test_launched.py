"""Launchers, as the environment tells of them."""

import pytest

from fewstep.runtime import launched

_THERE = {"MASTER_ADDR": "there"}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, (False, 0, 0)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, (False, 0, 0)),
        ({"WORLD_SIZE": "8"}, (False, 0, 0)),
        ({"RANK": "3"}, (False, 0, 0)),
        ({"WORLD_SIZE": "8", "RANK": "3"}, (False, 0, 0)),
        ({"WORLD_SIZE": "many", "RANK": "3", **_THERE}, (False, 0, 0)),
        ({"WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1", **_THERE}, (True, 5, 1)),
    ],
)
def test_a_rank_of_several(given, found, monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert (launched.launched(), launched.rank(), launched.rank_here()) == found
