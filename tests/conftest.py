"""Shared by all tests: a cache of their own, and the real Omniglot where there is one."""

import gc
import os
from pathlib import Path

import pytest
import torch

# Small tensors gain nothing from threads, and tests may share the machine.
torch.set_num_threads(1)

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """Objects of PyTorch and of the tests are no garbage, and need not be looked through."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """One cache for all workers, so that letters are drawn and Omniglot is read once."""
    before = os.environ.get("FEWSTEP_CACHE")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["FEWSTEP_CACHE"] = str(shared / "cache")
    yield
    if before is None:
        del os.environ["FEWSTEP_CACHE"]
    else:
        os.environ["FEWSTEP_CACHE"] = before


@pytest.fixture(scope="session")
def data_dir():
    """The folder that holds omniglot/."""
    folder = Path(os.environ.get("FEWSTEP_DATA") or SHARED)
    if not (folder / "omniglot" / "images_background.zip").exists():
        pytest.skip("needs the real Omniglot: set FEWSTEP_DATA")
    return folder
