"""Runs that the tests of all commands share."""

import shutil

import pytest

from fewstep.cli import main
from tests.cli.own_pictures import write_classes
from tests.cli.shared import SHORT, SMALL, TINY


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sinusoid"
    assert main([*SMALL, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Runs of the same recipe by other settings."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        given = ["--seed", str(seed), "--run-dir", str(folder / str(seed))]
        assert main([*SHORT, *given]) == 0
    return folder


@pytest.fixture
def run(runs, tmp_path):
    """A run to spoil."""
    return shutil.copytree(runs / "0", tmp_path / "run")


@pytest.fixture(scope="session")
def glyph_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glyph_runs")
    for algorithm in ("maml", "fomaml", "finetune"):
        given = ["train", "glyphs-5way-1shot", "--algorithm", algorithm, *TINY]
        assert main([*given, "--run-dir", str(folder / algorithm)]) == 0
    return folder


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """Drawings of three kinds: two each to learn from, others to predict."""
    folder = tmp_path_factory.mktemp("own")
    write_classes(folder / "support", 2)
    write_classes(folder / "query", 2, first=10)
    return folder


@pytest.fixture(scope="session")
def adapted(glyph_runs, own, tmp_path_factory):
    """A run that was adapted to the drawings, and saved."""
    folder = tmp_path_factory.mktemp("adapted") / "drawings"
    given = ["adapt", str(glyph_runs / "maml"), "--support", str(own / "support")]
    assert main([*given, "--query", str(own / "query"), "--out", str(folder)]) == 0
    return folder
