"""The steps of ``make release-check`` fail where something is amiss."""

import re
import tomllib

import pytest

from scripts import release_check
from scripts.apart import FailedError, find_python, run
from scripts.release_check import check_same


def test_a_file_too_few_or_too_many_is_named():
    check_same("the wheel", {"a"}, {"a"})
    with pytest.raises(FailedError, match=r"the wheel lacks: fewstep/py\.typed$"):
        check_same("the wheel", {"a"}, {"a", "fewstep/py.typed"})
    with pytest.raises(FailedError, match=r"the wheel should not hold: tests/a\.py, tests/b\.py$"):
        check_same("the wheel", {"tests/b.py", "tests/a.py"}, set())


def test_a_command_that_fails_tells_why(tmp_path):
    assert run("sh", "-c", "pwd; echo $A$PYTHONPATH", folder=tmp_path, A="a") == f"{tmp_path}\na\n"
    with pytest.raises(FailedError, match=r"ended with 3\nout\nreason$"):
        run("sh", "-c", "echo out; echo reason >&2; exit 3", folder=tmp_path)


def test_a_version_of_python_is_found_or_not(tmp_path, monkeypatch):
    def program(path, status):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\nexit {status}\n")
        path.chmod(0o755)
        return path

    monkeypatch.setenv("PATH", str(program(tmp_path / "bin" / "python3.99", 127).parent))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_python("3.99") is None
    own = program(tmp_path / "versions" / "3.99.1" / "bin" / "python", 0)
    assert find_python("3.99") == own


def test_versions_that_differ_are_told(tmp_path, monkeypatch):
    release_check.check_version(tmp_path)
    monkeypatch.setitem(release_check.PROJECT, "version", "9.9")
    with pytest.raises(FailedError, match=r"differ: \['.*', '9\.9'\]"):
        release_check.check_version(tmp_path)


def test_the_first_failure_ends_it_with_its_reason(monkeypatch, capsys):
    def fail(_):
        raise FailedError("odd")

    monkeypatch.setattr(release_check, "check_version", lambda _: "fine")
    monkeypatch.setattr(release_check, "build", fail)
    assert release_check.main() == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("version     fine")
    assert last == "build       FAILED: odd"


def test_a_package_index_shows_no_link_that_leads_nowhere():
    """Files beside the README in the repository are not beside it there."""
    tool = tomllib.loads((release_check.ROOT / "pyproject.toml").read_text())["tool"]
    hook = tool["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    (fragment,) = hook["fragments"]
    text = (release_check.ROOT / fragment["path"]).read_text()
    assert "](docs/" in text
    assert 'src="docs/' in text
    for one in hook["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    targets = re.findall(r"\]\(([^)]*)\)|(?:src|href)=\"([^\"]*)", text)
    assert targets
    assert all("".join(target).startswith("https://") for target in targets)
    assert "[`report`]" not in text
    assert "`report`" in text
