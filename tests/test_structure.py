"""The shape of the house: tests mirror the source, files are short, names can be read."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "fewstep"
TESTS = ROOT / "tests"
# They hold tests of several modules at once, and of what stands beside the package.
APART = {"exactness", "crash", "benchmarks"}
MIRRORED = sorted({path.parent.name for path in TESTS.glob("*/test_*.py")} - APART)


@pytest.mark.parametrize("package", MIRRORED)
def test_each_test_file_is_of_a_module(package):
    """Or, by the name of the package, of its ``__init__``."""
    modules = {path.stem for path in (SOURCE / package).glob("*.py")} | {package}
    tests = {path.stem.removeprefix("test_") for path in (TESTS / package).glob("test_*.py")}
    assert tests <= modules


def test_no_source_file_is_long():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert [path for path, length in lengths.items() if length > 300] == []
    assert sum(length < 200 for length in lengths.values()) > 0.8 * len(lengths)


def test_few_modules_stand_outside_of_packages():
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__", "__main__"}
    assert len(modules) <= 6


def test_names_of_tests_are_short():
    names = re.findall(r"def (test_\w+)", "".join(p.read_text() for p in TESTS.rglob("*.py")))
    assert [name for name in names if len(name) >= 60] == []
    assert len(names) > 400


def test_no_test_file_is_imported():
    pattern = r"^\s*(?:from|import) (?:tests\.(?:\w+\.)*|\.+(?:\w+\.)*)test_\w+"
    for path in TESTS.rglob("*.py"):
        assert re.findall(pattern, path.read_text(), re.M) == [], path
