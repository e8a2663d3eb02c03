"""The public face: which names it shows, and that every example in it runs."""

import doctest
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fewstep

PACKAGES = ["models", "data", "functional", "export", "report"]
NAMES = [name for name in fewstep.__all__ if name not in (*PACKAGES, "__version__")]
PUBLIC = {name: getattr(fewstep, name) for name in NAMES} | {
    f"{package}.{name}": getattr(import_module(f"fewstep.{package}"), name)
    for package in PACKAGES
    for name in getattr(import_module(f"fewstep.{package}"), "__all__", ())
}


def run(examples, name):
    report = []
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example, out=report.append)
    assert not runner.summarize(verbose=False).failed, f"{name}: {''.join(report)}"


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "keep_memory"])
def test_every_public_name_has_an_example_that_runs(name):
    examples = doctest.DocTestFinder(exclude_empty=True).find(PUBLIC[name], name)
    assert any(test.examples for test in examples), f"{name} has no >>> example"
    run(examples, name)


def test_the_example_of_the_package_runs():
    run(doctest.DocTestFinder(recurse=False).find(fewstep, "fewstep"), "fewstep")


def test_every_example_of_an_internal_name_runs():
    source, public = Path(fewstep.__file__).parent, {*PUBLIC.values()}
    found = []
    for path in sorted(source.rglob("*.py")):
        if ">>> " not in path.read_text(encoding="utf-8") or path.parent == source:
            continue
        module = import_module(".".join(path.relative_to(source.parent).with_suffix("").parts))
        own = (
            (name, value)
            for name, value in vars(module).items()
            if inspect.isfunction(value) or inspect.isclass(value)
            if value.__module__ == module.__name__ and value not in public
        )
        for name, value in own:
            found += doctest.DocTestFinder(exclude_empty=True).find(value, name)
    assert sum(bool(one.examples) for one in found) > 50
    run(found, "an internal name")


def test_only_public_names_are_shown():
    import_module("fewstep.training.runs")
    assert dir(fewstep) == sorted(fewstep.__all__)
    for name in fewstep.__all__:
        assert getattr(fewstep, name) is not None
        assert name == "__version__" or f"    {name}: " in fewstep.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fewstep.nothing


def test_internal_packages_say_so():
    folders = {path.parent.name for path in Path(fewstep.__file__).parent.glob("*/__init__.py")}
    for folder in folders - set(PACKAGES):
        assert "(internal)" in inspect.getdoc(import_module(f"fewstep.{folder}")), folder


def test_what_comes_before_pytorch_does_not_load_it():
    """In a process of its own, for the whole of which memory would be kept."""
    code = """
import doctest, sys, fewstep
dir(fewstep)
results = doctest.testmod(sys.modules[fewstep.keep_memory.__module__])
assert results.attempted and not results.failed
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
