"""Standard streams that are full, closed, read by nobody, or of few characters."""

import errno
import io
import json
import os
import subprocess
import sys

import pytest

from fewstep.cli import main
from tests.cli.shared import SHORT

FEWSTEP = f"{sys.executable} -m fewstep"


def bash(script, **variables):
    """Status, standard output and standard error, byte for byte."""
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, check=False, env={**os.environ, **variables}
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
@pytest.mark.parametrize("command", ["recipes", "--help", "--version", "compare --help"])
def test_a_full_output_is_told_in_one_line(command):
    status, _, told = bash(f"{FEWSTEP} {command} > /dev/full")
    assert told.count("\n") == 1
    assert f"cannot write to standard output ({os.strerror(errno.ENOSPC)})" in told
    assert status == 74


@pytest.mark.parametrize("command", ["recipes", "--help"])
def test_a_closed_output_is_told_in_one_line(command):
    status, _, told = bash(f"{FEWSTEP} {command} >&-")
    assert told.count("\n") == 1
    assert f"cannot write to standard output ({os.strerror(errno.EBADF)})" in told
    assert status == 74


def test_a_mistake_beside_closed_streams():
    """Messages for standard error never come out of standard output instead."""
    assert bash(f"{FEWSTEP} fly 2>&-") == (2, b"", "")
    assert bash(f"{FEWSTEP} fly <&- >&- 2>&-") == (2, b"", "")


@pytest.mark.parametrize("command", ["--help", "recipes", "compare --help"])
def test_a_reader_that_goes_away(command):
    assert bash(f"set -o pipefail; {FEWSTEP} {command} | true") == (141, b"", "")


def test_characters_that_the_encoding_lacks_are_spelled_out():
    status, out, told = bash(f"{FEWSTEP} recipes", PYTHONIOENCODING="ascii", COLUMNS="120")
    assert (status, told) == (0, "")
    assert b"92.7 +- 0.6 %" in out
    assert len({len(line.rstrip()) for line in out.splitlines() if b"expected" in line}) == 1
    assert out.isascii()


def test_arguments_that_are_no_utf8():
    status, out, told = bash(rf"{FEWSTEP} $'fl\xffy'")
    assert (status, out, told.count("\n")) == (2, b"", 1)
    assert r"unknown command 'fl\udcffy'" in told


@pytest.fixture
def full():
    """A stream on a device that is full."""
    if not os.path.exists("/dev/full"):
        pytest.skip("Linux only")
    with open("/dev/full", "wb", 0) as device:
        yield io.TextIOWrapper(device, encoding="utf-8", write_through=True)


def test_training_ends_whole_where_nothing_can_be_printed(full, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main([*SHORT, "--run-dir", str(run)]) == 74
    assert capsys.readouterr().err.splitlines()[-1].startswith("fewstep: error: cannot write to st")
    assert json.loads((run / "summary.json").read_text())["tasks"] == 3
    assert (run / "adaptation.png").exists()
    assert main(["evaluate", str(run), "--tasks", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == 2


def test_training_goes_on_where_progress_cannot_be_told(full, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", full)
        assert main([*SHORT, "--run-dir", str(tmp_path / "run")]) == 0
    assert "mse after inner steps" in capsys.readouterr().out


def test_paths_that_are_no_utf8(tmp_path, painted, capsys):
    names = (b"/r\xff", b"/p\xff.png")
    run, picture = (os.fsdecode(os.fsencode(tmp_path) + name) for name in names)
    for command in ([*SHORT, "--run-dir"], ["evaluate"], ["compare"]):
        assert main([*command, run]) == 2
        told = capsys.readouterr().err
        assert r"r\udcff is not valid UTF-8, as its files need; choose another name" in told
        assert told.count("\n") == 1
    assert not os.path.exists(run)
    run = str(tmp_path / "_$\\run$")
    assert main([*SHORT, "--run-dir", run]) == 0
    assert main(["compare", run, "--tasks", "2", "--inner-steps", "1", "--picture", picture]) == 0
    assert r"p\udcff" in capsys.readouterr().out
    assert os.path.getsize(picture) > 1000
