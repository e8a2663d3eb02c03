"""Try a release as those get it who install it: ``make release-check``.

Builds the wheel and the sdist, looks into them, and uses the wheel in environments of its own,
outside of the repository. A line a step; the first that fails ends it, with the reason.
"""

import json
import re
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

from scripts.apart import CONSTRAINTS, INSTALL, FailedError, find_python, installed, run

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OTHER_PYTHONS = ("3.12", "3.13")
OF_METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def check_same(what, found, expected):
    """Raise where a collection of names lacks some, or holds others."""
    for problem, names in (("lacks", expected - found), ("should not hold", found - expected)):
        if names:
            raise FailedError(f"{what} {problem}: {', '.join(sorted(names))}")


def made(folder, suffix):
    """The one file that was built, by its suffix."""
    (path,) = (folder / "dist").glob(f"*{suffix}")
    return path


def check_version(folder):
    """One version, at all places that name it."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    heading = re.search(r"^## (.*)$", changes, re.M)[1]
    program = "import fewstep; print(fewstep.__version__)"
    own = run(sys.executable, "-c", program, folder=folder, PYTHONPATH=str(ROOT / "src")).strip()
    named = {PROJECT["version"], own, heading.split(",")[0]}
    if len(named) > 1:
        raise FailedError(f"pyproject.toml, fewstep and CHANGELOG.md differ: {sorted(named)}")
    return heading


def build(folder):
    """The wheel, made from the sdist, as ``dist`` has it."""
    python = installed(folder / "tools", "build", "twine")
    run(python, "-m", "build", "--outdir", folder / "dist", ROOT, folder=folder)
    both = made(folder, ".whl"), made(folder, ".tar.gz")
    run(python, "-m", "twine", "check", "--strict", *both, folder=folder)
    return ", ".join(f"{path.name} ({path.stat().st_size // 1024} KiB)" for path in both)


def check_contents(folder):
    """The sdist holds what git holds, the wheel the package and the results alone."""
    tracked = set(run("git", "-C", ROOT, "ls-files", folder=folder).splitlines())
    with tarfile.open(made(folder, ".tar.gz")) as archive:
        there = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    check_same("the sdist", there, tracked | {"PKG-INFO"})
    with zipfile.ZipFile(made(folder, ".whl")) as archive:
        within = {re.sub(r"^fewstep-[^/]*\.dist-info/", "", name) for name in archive.namelist()}
    of_package = {name[4:] for name in tracked if name.startswith("src/fewstep/")}
    of_package |= {f"fewstep/{name}" for name in tracked if name.startswith("results/")}
    check_same("the wheel", within, of_package | OF_METADATA)
    return f"{len(there)} files in the sdist, {len(within)} in the wheel"


def check_installed(folder):
    """The wheel without extras: it imports, and the command tells its version."""
    python = installed(folder / "bare", made(folder, ".whl"))
    run(python, "-m", "pip", "check", folder=folder)
    program = "import fewstep, torch; fewstep.MAML; print('torch', torch.__version__)"
    told = run(folder / "bare/bin/fewstep", "--version", folder=folder).strip()
    return f"{told}, {run(python, '-c', program, folder=folder).strip()}"


def check_extras(folder):
    """All extras resolve together, and to nothing but pinned versions."""
    extras = PROJECT["optional-dependencies"]
    every = f"{made(folder, '.whl')}[{','.join(extras)}]"
    python = folder / "bare/bin/python"
    report = run(python, *INSTALL, "--quiet", "--dry-run", "--report", "-", every, folder=folder)
    pinned = re.findall(r"^([\w.-]+)==", CONSTRAINTS.read_text(), re.M)
    found = [item["metadata"]["name"] for item in json.loads(report)["install"]]
    plain = [{re.sub(r"[-_.]+", "-", name).lower() for name in names} for names in (found, pinned)]
    if loose := plain[0] - plain[1] - {"fewstep"}:
        raise FailedError(f"constraints.txt lacks {', '.join(sorted(loose))}")
    return f"{', '.join(extras)}: {len(found)} packages more"


def check_readme(folder):
    """The README's examples, on the wheel with the extra that they name."""
    python = folder / "bare/bin/python"
    run(python, *INSTALL, f"{made(folder, '.whl')}[tables]", folder=folder)
    place = folder / "readme"
    place.mkdir()
    here = {"PYTHONPATH": str(ROOT), "FEWSTEP_CACHE": str(folder / "cache")}
    run(python, "-m", "tests.readme", folder=place, **here)
    home = run(python, "-c", "import fewstep; print(fewstep.__file__)", folder=place, **here)
    if not Path(home.strip()).is_relative_to(folder):
        raise FailedError(f"it was not the wheel's fewstep that ran, but {home}")
    return "its examples run"


def check_other_python(folder, version):
    """Without PyTorch: metadata, byte compilation without a warning, and the help."""
    if not (base := find_python(version)):
        return "left out: it is not on this machine"
    python = installed(folder / version, "--no-deps", made(folder, ".whl"), base=base)
    program = "import fewstep; print(fewstep.__path__[0])"
    package = run(python, "-c", program, folder=folder).strip()
    run(python, "-W", "error", "-m", "compileall", "-q", "-f", package, folder=folder)
    told = run(folder / version / "bin/fewstep", "--help", folder=folder).splitlines()[0]
    return f"installed, compiled; {told}"


def main():
    """Take the steps in turn; the exit status tells whether all hold."""
    steps = {"version": check_version, "build": build, "contents": check_contents}
    steps |= {"wheel": check_installed, "extras": check_extras, "README": check_readme}
    for version in OTHER_PYTHONS:
        steps[f"Python {version}"] = lambda folder, v=version: check_other_python(folder, v)
    with tempfile.TemporaryDirectory(prefix="fewstep-release-") as folder:
        for name, step in steps.items():
            began = time.monotonic()
            try:
                told = step(Path(folder).resolve())
            except FailedError as error:
                print(f"{name:12}FAILED: {error}")
                return 1
            print(f"{name:12}{told} ({time.monotonic() - began:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
