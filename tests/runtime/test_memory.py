"""A process keeps the memory of large tensors."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
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
        [sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_a_large_tensor_does_not_fault_its_pages_in_every_time():
    assert page_faults("kept") < 0.1 * page_faults("not kept")
