"""Settings before PyTorch is imported: memory is kept, and OpenMP's threads wait briefly."""

import os
import subprocess
import sys

import pytest

from fewstep.runtime.startup import wait_briefly

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
WAITING_SCRIPT = """
import os, sys
from fewstep import cli
def command(name):
    print(name, "torch" in sys.modules, os.environ.get("GOMP_SPINCOUNT"))
    raise SystemExit(0)
cli.import_module = command
cli.main(["train"])
"""


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    for name in NAMES:
        # Set and removed, so that it is removed again whatever a test does.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def chosen():
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def python(script):
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_threads_wait_briefly():
    wait_briefly()
    assert chosen() == {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_set_stays(name, monkeypatch):
    monkeypatch.setenv(name, "passive")
    wait_briefly()
    assert chosen() == {name: "passive"}


def test_the_command_line_sets_it_before_pytorch():
    assert python(WAITING_SCRIPT) == "fewstep.cli.train False 1000\n"


def test_the_library_leaves_it_alone():
    script = "import os, fewstep; fewstep.InputError; print('GOMP_SPINCOUNT' in os.environ)"
    assert python(script) == "False\n"


# Without large pages, of which systems give more or fewer by themselves, so that counts compare.
MEMORY_SCRIPT = """
import ctypes, resource, sys
PR_SET_THP_DISABLE = 41
assert ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0
if sys.argv[1] == "kept":
    from fewstep import keep_memory
    keep_memory()
import torch
def faults():
    torch.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
start = faults()
for _ in range(20):
    end = faults()
print(end - start)
"""


def page_faults(how):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_large_tensor_does_not_fault_its_pages_in_every_time():
    # Not none: a tensor may once be put elsewhere.
    assert page_faults("kept") < 0.25 * page_faults("not kept")


def test_a_learner_needs_nothing_of_the_command_line():
    script = "import sys, fewstep; fewstep.MAML; print({'tyro', 'fewstep.config'} & {*sys.modules})"
    assert python(script).strip() == "set()"
