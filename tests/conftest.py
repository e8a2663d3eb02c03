"""Shared by all tests: a cache of their own, and the real Omniglot where there is one."""

import os
from pathlib import Path

import pytest
import torch

# Small tensors gain nothing from threads, and tests may share the machine.
torch.set_num_threads(1)

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    before = os.environ.get("FEWSTEP_CACHE")
    os.environ["FEWSTEP_CACHE"] = str(tmp_path_factory.mktemp("cache"))
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
