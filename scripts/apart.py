"""Commands in folders and environments that see nothing of the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
INSTALL = ("-m", "pip", "install", "--disable-pip-version-check", "--constraint", CONSTRAINTS)


class FailedError(Exception):
    """A step does not hold; the text tells why."""


def run(*command, folder, **environment):
    """What a command prints, run in a folder that is not the repository's."""
    apart = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=apart | environment, capture_output=True, text=True
    )
    if done.returncode:
        told = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise FailedError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{told}")
    return done.stdout


def installed(place, *what, base=sys.executable):
    """The interpreter of a new environment that holds some packages."""
    run(base, "-m", "venv", place, folder=place.parent)
    run(place / "bin/python", *INSTALL, *what, folder=place.parent)
    return place / "bin/python"


def find_python(version):
    """A path to that Python, or None; pyenv's stand-ins on the path run only where chosen."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(root.glob(f"versions/{version}.*/bin/python"))
    for path in (shutil.which(f"python{version}"), *installed):
        if path and not subprocess.run([path, "-c", ""], capture_output=True).returncode:
            return path
    return None
