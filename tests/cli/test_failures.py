"""Failures that are no InputError, and what a damaged file is told by, in one line each."""

import json
import shutil

import numpy as np
import pytest
import torch

from fewstep import cli
from fewstep.cli import main
from fewstep.cli.failures import status_and_line
from tests.cli.shared import SHORT


@pytest.fixture
def run_dir(runs):
    return runs / "0"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "out of memory (no more); choose a smaller network"),
        (MemoryError("Unable to allocate 8 TiB"), "out of memory (Unable to allocate 8 TiB)"),
        (RuntimeError("CUDA out of memory. Tried\nmore"), "out of memory (CUDA out of memory. Tri"),
        (RuntimeError("[x] DefaultCPUAllocator: can't allocate memory: you"), "out of memory ([x]"),
        (PermissionError(13, "not for you", "/x"), "cannot use /x (not for you); see that"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "a file holds what fewstep ne"),
        (ModuleNotFoundError("No", name="torch"), "torch is not installed, which fewstep needs; "),
        (ModuleNotFoundError("No", name="PIL.Image"), "PIL is not installed, which fewstep needs"),
        (RecursionError("too deep"), "a file holds what fewstep never wrote (too deep)"),
    ],
)
def test_what_a_user_can_mend_is_told_in_one_line(error, told, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert main([]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fewstep: error: {told}")
    assert err.count("\n") == 1


def test_memory_that_pytorch_and_numpy_do_not_get():
    for ask in (lambda: torch.empty(2**53), lambda: np.empty(2**53)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            ask()
        status, line = status_and_line(caught.value)
        assert status == 2
        assert "out of memory (" in line
        assert "\n" not in line


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    own = ModuleNotFoundError("No module", name="fewstep.odd")
    for error in (RuntimeError("odd"), ValueError("odd"), AssertionError(), own):
        assert status_and_line(error) is None
    monkeypatch.setattr(cli, "_run", lambda _: {}["odd"])
    with pytest.raises(KeyError):
        main([])


@pytest.mark.parametrize("content", [b'{"a": "\xff"}', b"[" * 200_000 + b"]" * 200_000, b""])
@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "summary.json", "versions.json"])
def test_a_damaged_file_of_a_run(name, content, run_dir, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    (run / name).write_bytes(content + b"\n")
    capsys.readouterr()
    # Only the config is needed to judge a run.
    status = main(["evaluate", str(run), "--tasks", "2", "--inner-steps", "1", "--json"])
    out, err = capsys.readouterr()
    assert status == (2 if name == "config.json" else 0)
    assert err.count("\n") == (1 if name == "config.json" else 0)
    assert json.loads(out)["tasks"] == 2 if status == 0 else not out
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    if main([*SHORT, "--run-dir", str(run)]) == 2:
        assert len(capsys.readouterr().err.splitlines()) == 2
        assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("command", ["train", "evaluate", "compare"])
@pytest.mark.parametrize("device", ["meta", "hpu", "vulkan", "cuda:99", "gpu"])
def test_a_device_that_cannot_be_used(command, device, run_dir, tmp_path, capsys):
    given = {
        "train": [*SHORT, "--run-dir", str(tmp_path / "new")],
        "evaluate": ["evaluate", str(run_dir)],
        "compare": ["compare", str(run_dir), "--picture", str(tmp_path / "new.png")],
    }[command]
    capsys.readouterr()
    assert main([*given, "--device", device]) == 2
    out, err = capsys.readouterr()
    assert f"device {device!r} cannot be used" in err
    assert max(map(len, err.splitlines())) < 350
    assert out == ""
    assert not list(tmp_path.iterdir())
