"""A file that grows is told of when it cannot."""

import pytest

from fewstep import InputError
from fewstep.training.appended import Appended


def test_a_full_disk(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    file = Appended(tmp_path / "metrics.jsonl")
    file.write(b"line\n")
    with pytest.raises(InputError, match=r"no disk space left for .*metrics\.jsonl; free some"):
        file.flush()
    file.close()
