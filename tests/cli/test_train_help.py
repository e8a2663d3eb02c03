"""`fewstep train TABLE --help`: settings that have an effect there, and true defaults."""

import re

import pytest

from fewstep.cli import main
from tests.data.pictures import write_folder
from tests.tables import lines

OF_PICTURES = ["flip", "crop", "colour", "rotations", "image-size", "n-way", "data"]
OF_PICTURES += ["filters", "pretrained", "model-norm", "downsample", "norm", "per-step-affine"]
OF_TABLES = ["task", "target", "inputs", "time", "window", "min-k-shot"]


@pytest.fixture
def help_of(tmp_path, monkeypatch, capsys):
    """The help on one line, in a folder with a table and one with pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    lines(20, 30).to_csv("sites.csv", index=False)
    write_folder(tmp_path / "pics", classes=2, pictures=1)

    def told(*words):
        with pytest.raises(SystemExit) as stop:
            main(["train", *words])
        assert stop.value.code == 0
        out, err = capsys.readouterr()
        assert err == ""
        return re.sub(r"[\s│]+", " ", out)

    return told


def defaults(told, flag):
    return re.search(rf" --{flag} .*?default: ([^)]*)\)", told)[1]


def test_of_a_table(help_of):
    told = help_of("sites.csv", "--help")
    assert not [name for name in OF_PICTURES if f" --{name} " in told or f"--no-{name} " in told]
    assert all(f" --{name} " in told for name in (*OF_TABLES, "layers", "k-shot", "seed"))
    assert "--data-dir" not in told
    assert defaults(told, "algorithm") == "r2d2"
    assert defaults(told, "test-inner-steps") == "1"


def test_of_its_columns(help_of):
    given = ["sites.csv", "--task", "site", "--target", "level"]
    assert defaults(help_of(*given, "-h"), "test-tasks") == "400"
    assert defaults(help_of(*given, "--algorithm", "maml", "-h"), "test-inner-steps") == "5"
    assert defaults(help_of(*given[:-1], "raww", "--help"), "k-shot") == "10"
    assert "--k-shot" in help_of(*given, "--nonsense", "--help")


def test_of_pictures(help_of):
    told = help_of("pics", "--help")
    columns = ("COLUMN", "INT")
    assert not [n for n in OF_TABLES for of in columns if f" --{n} {of}" in told]
    assert all(f"--{name}" in told for name in OF_PICTURES if name != "data")
    assert defaults(told, "algorithm") == "protomaml"


def test_without_a_word_all_settings_are_told(help_of):
    told = help_of("--help")
    assert all(f"--{name}" in told for name in (*OF_PICTURES, *OF_TABLES))
