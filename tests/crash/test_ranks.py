"""Runs of several ranks: one run, whoever computes it, and one end, whoever dies."""

import json
import os
import signal
import subprocess
import sys
from functools import cache, partial

import pytest
import torch
from safetensors.torch import load_file

from tests.processes import end_ranks, finish, no_pictures, start_ranks, until
from tests.training.shared import lines, same

COMMAND = [
    *("train", "glyphs-5way-1shot", "--filters", "2", "--meta-batch", "3", "--inner-steps", "2"),
    *("--steps", "6", "--checkpoint-every", "2", "--val-every", "3", "--val-tasks", "3"),
    *("--test-tasks", "3", "--test-inner-steps", "2", "--workers", "1"),
]


def command(run_dir, *more):
    return [*COMMAND, *more, "--run-dir", run_dir]


def without_pictures(_rank):
    no_pictures()


def train(run_dir, folder, size, *more, prepare=without_pictures):
    """The statuses of ranks that train, and what they said."""
    return end_ranks(start_ranks(command(run_dir, *more), folder, size, prepare), folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run directory by so many ranks, undisturbed."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def made(size):
        run_dir = folder / f"{size}"
        if size == 1:
            status, said = finish(command(run_dir), folder / "out", no_pictures)
            assert status == 0, said
            return run_dir, [said]
        statuses, said = train(run_dir, folder / f"out{size}", size)
        assert statuses == [0] * size, said
        return run_dir, said

    return made


def assert_close(one, other):
    for name in ("last.safetensors", "best.safetensors"):
        torch.testing.assert_close(load_file(one / name), load_file(other / name), **NEAR)
    for a, b in zip(lines(one), lines(other), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-4)


NEAR = {"rtol": 1e-3, "atol": 1e-4}


def test_ranks_train_as_one_process_does(whole):
    (alone, told), (run_dir, said) = whole(1), whole(2)
    assert said[1] == ""
    assert len(said[0].splitlines()) == len(told[0].splitlines())
    assert {path.name for path in run_dir.iterdir()} == {path.name for path in alone.iterdir()}
    assert_close(run_dir, alone)
