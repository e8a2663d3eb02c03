"""The public names of fewstep.data and fewstep.models, and their examples."""

import doctest
import sys

import pytest

import fewstep.data
import fewstep.models

PUBLIC = [(package, name) for package in (fewstep.data, fewstep.models) for name in dir(package)]


@pytest.mark.parametrize(
    ("package", "name"), PUBLIC, ids=lambda value: getattr(value, "__name__", value)
)
def test_each_name_is_listed_and_has_an_example_that_runs(package, name):
    value = getattr(package, name)
    assert f"- `{name}`: " in package.__doc__
    module = sys.modules[value.__module__]
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    (example,) = finder.find(value, name, module)
    assert example.examples or name == "TaskSource"
    assert runner.run(example).failed == 0


@pytest.mark.parametrize("package", [fewstep.data, fewstep.models])
def test_nothing_else_is_shown(package):
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'no_such'"):
        _ = package.no_such
